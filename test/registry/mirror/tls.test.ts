// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { type Log, silentLog } from "../../../src/base/deps.ts";
import { describeError } from "../../../src/base/errors.ts";
import { minutes } from "../../../src/base/units.ts";
import { digestOf } from "../../../src/registry/digest.ts";
import { type Certificate, makeCertificate } from "../certificate.ts";
import { errorCode, noise, pushImage, serveRegistry } from "../served.ts";

const layer = noise(1_000_000);

/** A registry that speaks TLS with an image in it, and a mirror that trusts `ca`. */
async function openSite(tls: Certificate, ca: string | null) {
  await using opening = new AsyncDisposableStack();
  const central = opening.use(await serveRegistry({ tls }));
  const unchecked = {
    ask: (method: string, path: string, init?: RequestInit) =>
      central.ask(method, path, { ...init, tls: { rejectUnauthorized: false } } as RequestInit),
  };
  await pushImage(unchecked, "os/debian", "13", { layers: [layer] });
  const logged: string[] = [];
  const note = (fields: object, message: string) => {
    if ("err" in fields) logged.push(`${message}: ${describeError(fields.err)}`);
  };
  const log: Log = { ...silentLog, warn: note, error: note };
  const mirror = opening.use(
    await serveRegistry({
      log,
      upstream: {
        registry: central.url,
        prefix: "",
        authorization: null,
        ca,
        ttl: minutes(5),
        repositories: ["**"],
      },
    }),
  );
  const open = opening.move();
  return { mirror, logged, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

test("an upstream with a private CA is mirrored over TLS", async () => {
  const tls = await makeCertificate();
  await using site = await openSite(tls, tls.cert);
  expect((await site.mirror.ask("GET", "os/debian/manifests/13")).status).toBe(200);
  const blob = await site.mirror.ask("GET", `os/debian/blobs/${digestOf(layer)}`);
  expect(digestOf(await blob.bytes())).toBe(digestOf(layer));
});

const [mine, other, expired] = await Promise.all([
  makeCertificate(),
  makeCertificate(),
  makeCertificate({ isExpired: true }),
]);

test.each([
  ["of another CA than the one given", mine, other.cert, "self signed certificate"],
  ["of a private CA that was not given", mine, null, "self signed certificate"],
  ["that has expired", expired, expired.cert, "certificate has expired"],
])(
  "an upstream's certificate %s is said to be the trouble, at once",
  async (_what, tls, ca, why) => {
    await using site = await openSite(tls, ca);
    for (const path of ["manifests/13", `blobs/${digestOf(layer)}`, "tags/list"]) {
      const answer = await site.mirror.ask("GET", `os/debian/${path}`);
      expect(answer.status).toBe(503);
      expect(await answer.clone().text()).toContain("certificate that the mirror does not trust");
      expect(await errorCode(answer)).toBe("UNAVAILABLE");
      expect(site.logged.at(-1)).toContain(why);
    }
    await expect(site.mirror.registry.resolve("os/debian", "13")).rejects.toMatchObject({
      code: "REGISTRY_UNREACHABLE",
      hint: expect.stringContaining("CA"),
    });
  },
);
