// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { silentLog } from "../../src/base/deps.ts";
import { minutes } from "../../src/base/units.ts";
import { createRegistry } from "../../src/registry/registry.ts";
import { noise, pushImage, serveRegistry } from "../registry/served.ts";
import { temporaryDirectory } from "../store/fresh-store.ts";
import { RECIPE, Site } from "./site.ts";

const LAYER = noise(1_000_000);
const layerDigest = `sha256:${new Bun.CryptoHasher("sha256").update(LAYER).digest("hex")}`;

/** A controller whose registry has nothing, and mirrors one that has os-images/debian:13. */
async function open() {
  const directory = temporaryDirectory();
  const central = await serveRegistry();
  const image = await pushImage(central, "os-images/debian", "13", { layers: [LAYER] });
  const registry = await createRegistry({
    root: directory.path,
    log: silentLog,
    now: Date.now,
    upstreamWaits: { answer: 1000 as never },
    upstream: {
      registry: central.url,
      prefix: "",
      authorization: null,
      ca: null,
      ttl: minutes(5),
      repositories: ["**"],
    },
  });
  const site = await Site.open();
  site.startAnother((deps) => ({ ...deps, registry }));
  return {
    site,
    central,
    image,
    get: (path: string, authorization: string) =>
      site.send(new Request(`http://127.0.0.1:8080/v2/${path}`, { headers: { authorization } })),
    async [Symbol.asyncDispose]() {
      await site[Symbol.asyncDispose]();
      await registry.close();
      await central[Symbol.asyncDispose]();
      directory[Symbol.dispose]();
    },
  };
}

test("a job at a fresh site gets its artifact through the mirror, and nothing else", async () => {
  await using world = await open();
  const { site, image, get } = world;
  await pushImage(world.central, "os-images/secret", "1");
  await site.controller.start();
  const id = await site.createJob({ ...RECIPE, oci_url: "os-images/debian:13" });
  await site.until(id, ({ phase }) => phase === "waiting");
  const token = `Bearer ${(await site.store.jobs.payload(id))?.token}`;
  const manifest = await get(`os-images/debian/manifests/${image.digest}`, token);
  expect(await manifest.text()).toBe(image.manifest);
  const layer = await get(`os-images/debian/blobs/${layerDigest}`, token);
  expect(layer.status).toBe(200);
  expect(await layer.bytes()).toEqual(LAYER);
  expect((await get("os-images/secret/manifests/1", token)).status).toBe(403);
  expect((await get("os-images/debian/manifests/13", token)).status).toBe(403);

  const { text } = await site.api("GET", "/metrics", { as: null });
  expect(text).toMatch(/^registry_mirror_requests_total\{result="hit"\} [1-9]/m);
  expect(text).toMatch(/^registry_mirror_requests_total\{result="miss"\} 2$/m);
  expect(text).toContain(
    `registry_mirror_bytes_total ${LAYER.byteLength + image.manifest.length}\n`,
  );
});

test("a job whose artifact cannot be looked for is refused with the reason", async () => {
  await using world = await open();
  const { site, central } = world;
  await site.controller.start();
  const create = (artifact: string) =>
    site.api("POST", "/api/v1/jobs", {
      body: { server_serial: "SN1", recipe: { ...RECIPE, oci_url: artifact } },
    });
  const unknown = await create("os-images/debian:14");
  expect([unknown.status, unknown.body.details[0].code]).toEqual([400, "not_found"]);
  await central.crash();
  const answer = await create("os-images/other:13");
  expect(answer.status).toBe(502);
  expect(answer.body.message).toContain("upstream");
});
