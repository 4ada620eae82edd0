// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { silentLog } from "../../src/base/deps.ts";
import { createRegistry } from "../../src/registry/registry.ts";
import { temporaryDirectory } from "../store/fresh-store.ts";
import { RECIPE, Site } from "./site.ts";

const LAYER = "a root file system";
const digestOf = (text: string) =>
  `sha256:${new Bun.CryptoHasher("sha256").update(text).digest("hex")}`;

const MANIFEST = JSON.stringify({
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  artifactType: "application/vnd.prov.rootfs.v1",
  config: {
    mediaType: "application/vnd.oci.empty.v1+json",
    digest: digestOf("{}"),
    size: 2,
  },
  layers: [{ mediaType: "application/tar", digest: digestOf(LAYER), size: LAYER.length }],
});

/** A controller in front of a real registry with the same artifact in two repositories. */
async function open() {
  const directory = temporaryDirectory();
  const registry = await createRegistry({ root: directory.path, log: silentLog, now: Date.now });
  const site = await Site.open();
  site.startAnother((deps) => ({ ...deps, registry }));
  const call = (method: string, path: string, authorization: string | null, body?: string) =>
    site.send(
      new Request(`http://127.0.0.1:8080/v2/${path}`, {
        method,
        headers: {
          ...(authorization !== null && { authorization }),
          ...(body !== undefined && {
            "content-type": "application/vnd.oci.image.manifest.v1+json",
          }),
        },
        ...(body !== undefined && { body }),
      }),
    );
  return {
    site,
    call,
    async [Symbol.asyncDispose]() {
      await site[Symbol.asyncDispose]();
      await registry.close();
      directory[Symbol.dispose]();
    },
  };
}

const user = (name: string) => `Basic ${btoa(`${name}:${name}`)}`;

async function push({ call }: Awaited<ReturnType<typeof open>>, repository: string) {
  for (const blob of ["{}", LAYER]) {
    const path = `${repository}/blobs/uploads/?digest=${digestOf(blob)}`;
    expect((await call("POST", path, user("operator"), blob)).status).toBe(201);
  }
  const answer = await call("PUT", `${repository}/manifests/13`, user("operator"), MANIFEST);
  expect(answer.status).toBe(201);
}

test("a job's token pulls its artifact and nothing else", async () => {
  await using world = await open();
  const { site, call } = world;
  await push(world, "os-images/debian");
  await push(world, "os-images/secret");
  await site.controller.start();
  const id = await site.createJob({ ...RECIPE, oci_url: "os-images/debian:13" });
  await site.until(id, ({ phase }) => phase === "waiting");
  const token = `Bearer ${(await site.store.jobs.payload(id))?.token}`;
  const manifest = digestOf(MANIFEST);
  const cases: readonly (readonly [string, string, number])[] = [
    ["GET", `os-images/debian/manifests/${manifest}`, 200],
    ["HEAD", `os-images/debian/manifests/${manifest}`, 200],
    ["GET", `os-images/debian/blobs/${digestOf(LAYER)}`, 200],
    ["GET", `os-images/debian/blobs/${digestOf("{}")}`, 200],
    ["GET", `os-images/debian/blobs/${digestOf("other")}`, 403],
    ["GET", `os-images/debian/manifests/13`, 403],
    ["GET", `os-images/debian/tags/list`, 403],
    ["GET", `os-images/secret/manifests/${manifest}`, 403],
    ["GET", `os-images/secret/blobs/${digestOf(LAYER)}`, 403],
    ["DELETE", `os-images/debian/manifests/${manifest}`, 403],
    ["POST", `os-images/debian/blobs/uploads/`, 403],
  ];
  for (const [method, path, status] of cases) {
    const answer = await call(method, path, token);
    expect([method, path, answer.status]).toEqual([method, path, status]);
  }
  expect(
    (await site.api("GET", "/api/v1/jobs", { as: null, headers: { authorization: token } })).status,
  ).toBe(401);

  await site.api("DELETE", `/api/v1/jobs/${id}`);
  await site.complete(id);
  const late = await call("GET", `os-images/debian/manifests/${manifest}`, token);
  expect(late.status).toBe(401);
});

test("users push and pull by role; nobody is asked who they are", async () => {
  await using world = await open();
  const { call } = world;
  await push(world, "os-images/debian");
  const challenge = await call("GET", "", null);
  expect([challenge.status, challenge.headers.get("www-authenticate")]).toEqual([
    401,
    'Basic realm="prov"',
  ]);
  expect((await call("GET", "", user("reader"))).status).toBe(200);
  expect((await call("GET", "os-images/debian/manifests/13", user("reader"))).status).toBe(200);
  expect((await call("POST", "os-images/debian/blobs/uploads/", user("reader"))).status).toBe(403);
  expect((await call("GET", "os-images/debian/manifests/13", null)).status).toBe(401);
});

test("artifacts are listed and deleted through the API", async () => {
  await using world = await open();
  await push(world, "os-images/debian");
  const { site } = world;
  const list = await site.api("GET", "/api/v1/artifacts");
  expect(list.body.artifacts).toMatchObject([
    { repository: "os-images/debian", tag: "13", digest: digestOf(MANIFEST) },
  ]);
  const path = "/api/v1/artifacts/os-images/debian:13";
  expect((await site.api("DELETE", path)).status).toBe(204);
  expect((await site.api("DELETE", path)).status).toBe(404);
  expect((await site.api("DELETE", "/api/v1/artifacts/debian")).status).toBe(400);
});
