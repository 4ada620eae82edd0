// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../src/base/deps.ts";
import { millis } from "../../src/base/units.ts";
import { openBlob, resolveArtifact } from "../../src/registry/client/pull.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { REGISTRY_SERVER_OPTIONS } from "../../src/registry/registry.ts";
import { everything, noise, pushImage, serveRegistry } from "./served.ts";

test("R39: over TLS with a CA of one's own, and not without it", async () => {
  await using served = await serveRegistry();
  const bytes = noise(1_000_000);
  await pushImage(served, "os/debian", "13", { layers: [bytes] });
  const work = await mkdtemp(join(tmpdir(), "prov-tls-"));
  const request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"];
  const subject = ["-subj", "/CN=prov", "-addext", "subjectAltName=IP:127.0.0.1"];
  const { exitCode } = Bun.spawnSync(
    [
      ...[...request, "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
      ...[...subject, "-keyout", "key.pem", "-out", "cert.pem"],
    ],
    { cwd: work },
  );
  expect(exitCode).toBe(0);
  const cert = await Bun.file(join(work, "cert.pem")).text();
  await using server = Bun.serve({
    ...REGISTRY_SERVER_OPTIONS,
    port: 0,
    tls: { cert, key: await Bun.file(join(work, "key.pem")).text() },
    fetch: (request) => served.registry.handle(request, everything),
  });
  await rm(work, { recursive: true });
  const source = {
    registry: `https://127.0.0.1:${server.port}`,
    repository: "os/debian",
    reference: "13",
    authorization: null,
    ca: cert,
  };
  const sleep = () => Promise.resolve();
  const deps = { fetch, sleep, now: Date.now, log: silentLog, patience: millis(400) };
  const { layer } = await resolveArtifact(source, deps);
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of openBlob(source, layer, deps)) hasher.update(chunk);
  expect(`sha256:${hasher.digest("hex")}`).toBe(digestOf(bytes));
  await expect(resolveArtifact({ ...source, ca: null }, deps)).rejects.toEqual(
    expect.objectContaining({ code: "REGISTRY_UNREACHABLE" }),
  );
});
