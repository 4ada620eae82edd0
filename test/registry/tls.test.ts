// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { silentLog } from "../../src/base/deps.ts";
import { millis } from "../../src/base/units.ts";
import { openBlob, resolveArtifact } from "../../src/registry/client/pull.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { makeCertificate } from "./certificate.ts";
import { noise, pushImage, serveRegistry } from "./served.ts";

test("R39: over TLS with a CA of one's own, and not without it", async () => {
  const tls = await makeCertificate();
  await using served = await serveRegistry({ tls });
  const bytes = noise(1_000_000);
  await pushImage(served, "os/debian", "13", { layers: [bytes] });
  const source = {
    registry: served.url,
    repository: "os/debian",
    reference: "13",
    authorization: null,
    ca: tls.cert,
  };
  const sleep = () => Promise.resolve();
  const deps = { fetch, sleep, now: Date.now, log: silentLog, patience: millis(400) };
  const { layer } = await resolveArtifact(source, deps);
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of openBlob(source, layer, deps)) hasher.update(chunk);
  expect(`sha256:${hasher.digest("hex")}`).toBe(digestOf(bytes));
  // At once: patience makes no certificate trusted.
  const impatient = { ...deps, sleep: () => Promise.reject(new Error("waited")) };
  const localhost = served.url.replace("127.0.0.1", "localhost");
  for (const untrusted of [{ ca: null }, { registry: localhost }]) {
    await expect(resolveArtifact({ ...source, ...untrusted }, impatient)).rejects.toMatchObject({
      code: "REGISTRY_UNREACHABLE",
      message: expect.stringContaining("certificate is not trusted"),
    });
  }
});
