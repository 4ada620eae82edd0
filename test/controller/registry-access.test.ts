// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { basic, digestOf, LAYER, MANIFEST, RegistryWorld } from "./registry-world.ts";
import { RECIPE } from "./site.ts";

const IMAGE = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";

/** An index of the image, and of another index of one more image. */
const INNER_IMAGE = MANIFEST.replace("vnd.prov.rootfs.v1", "vnd.prov.inner.v1");
const INNER_INDEX = indexOf([[IMAGE, INNER_IMAGE]]);
const OUTER_INDEX = indexOf([
  [IMAGE, MANIFEST],
  [INDEX, INNER_INDEX],
]);
/** Refers to the image: its signature, say. */
const REFERRER = JSON.stringify({
  ...JSON.parse(MANIFEST),
  artifactType: "x/signature",
  subject: { mediaType: IMAGE, digest: digestOf(MANIFEST), size: MANIFEST.length },
});

function indexOf(children: readonly (readonly [string, string])[]): string {
  const manifests = children.map(([mediaType, text]) => ({
    mediaType,
    digest: digestOf(text),
    size: text.length,
  }));
  return JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests });
}

async function putManifest(world: RegistryWorld, path: string, body: string): Promise<void> {
  const headers = { "content-type": JSON.parse(body).mediaType, authorization: basic("admin") };
  const request = new Request(`http://x/v2/${path}`, { method: "PUT", headers, body });
  expect((await world.site.send(request)).status).toBe(201);
}

/** Starts a job with the artifact. @returns its id and its token. */
async function startJob({ site }: RegistryWorld, oci_url: string) {
  await site.controller.start();
  const id = await site.createJob({ ...RECIPE, oci_url });
  await site.until(id, ({ phase }) => phase === "waiting");
  return { id, token: `Bearer ${(await site.store.jobs.payload(id))?.token}` };
}

test("R51 a job's token pulls its artifact and nothing else", async () => {
  await using world = await RegistryWorld.open();
  const { site } = world;
  await world.push("os-images/debian");
  await world.push("os-images/secret");
  await putManifest(world, `os-images/debian/manifests/${digestOf(REFERRER)}`, REFERRER);
  const { id, token } = await startJob(world, "os-images/debian:13");
  const manifest = digestOf(MANIFEST);
  const cases: readonly (readonly [string, string, number])[] = [
    ["GET", `os-images/debian/manifests/${manifest}`, 200],
    ["HEAD", `os-images/debian/manifests/${manifest}`, 200],
    ["GET", `os-images/debian/blobs/${digestOf(LAYER)}`, 200],
    ["GET", `os-images/debian/blobs/${digestOf("{}")}`, 200],
    ["GET", `os-images/debian/blobs/${digestOf(LAYER).replace(":", "%3A")}`, 200],
    ["GET", `os-images/debian/blobs/${digestOf("other")}`, 403],
    ["GET", "os-images/debian/manifests/13", 403],
    ["GET", "os-images/debian/tags/list", 403],
    ["GET", `os-images/debian/referrers/${manifest}`, 403],
    ["GET", `os-images/debian/manifests/${digestOf(REFERRER)}`, 403],
    ["GET", "_catalog", 403],
    ["GET", `os-images/secret/manifests/${manifest}`, 403],
    ["GET", `os-images/secret/blobs/${digestOf(LAYER)}`, 403],
    ["GET", `os-images%2Fdebian/manifests/${manifest}`, 400],
    ["GET", `os-images/secret/../debian/tags/list`, 403],
    ["DELETE", `os-images/debian/manifests/${manifest}`, 403],
    ["POST", "os-images/debian/blobs/uploads/", 403],
    ["POST", `os-images/debian/blobs/uploads/?mount=${digestOf(LAYER)}`, 403],
  ];
  for (const [method, path, status] of cases) {
    const answer = await world.call(method, path, token);
    expect([method, path, answer.status]).toEqual([method, path, status]);
  }
  const headers = { authorization: token };
  expect((await site.api("GET", "/api/v1/jobs", { as: null, headers })).status).toBe(401);

  await site.api("DELETE", `/api/v1/jobs/${id}`);
  await site.complete(id);
  const late = await world.call("GET", `os-images/debian/manifests/${manifest}`, token);
  expect(late.status).toBe(401);
});

test("R51 of an index a job's token pulls what the index is made of", async () => {
  await using world = await RegistryWorld.open();
  await world.push("os-images/all", "image");
  for (const manifest of [INNER_IMAGE, INNER_INDEX, REFERRER]) {
    await putManifest(world, `os-images/all/manifests/${digestOf(manifest)}`, manifest);
  }
  await putManifest(world, "os-images/all/manifests/13", OUTER_INDEX);
  const { token } = await startJob(world, "os-images/all:13");
  const status = async (path: string) =>
    (await world.call("GET", `os-images/all/${path}`, token)).status;
  for (const manifest of [OUTER_INDEX, MANIFEST, INNER_INDEX, INNER_IMAGE]) {
    expect(await status(`manifests/${digestOf(manifest)}`)).toBe(200);
  }
  expect(await status(`blobs/${digestOf(LAYER)}`)).toBe(200);
  for (const path of [
    `manifests/${digestOf(REFERRER)}`,
    `referrers/${digestOf(OUTER_INDEX)}`,
    `referrers/${digestOf(MANIFEST)}`,
    "manifests/13",
    "manifests/image",
    "tags/list",
  ]) {
    expect([path, await status(path)]).toEqual([path, 403]);
  }
});

test("R51 a policy that lets nobody pull does not stop a job, and opens nothing to it", async () => {
  await using world = await RegistryWorld.open({ anonymousPull: true });
  await world.push("os-images/debian");
  await world.setPolicy({ rules: [{ repositories: "**", pull: [] }] });
  const { token } = await startJob(world, "os-images/debian:13");
  const path = `os-images/debian/manifests/${digestOf(MANIFEST)}`;
  expect((await world.call("GET", path, token)).status).toBe(200);
  expect((await world.call("GET", "os-images/debian/tags/list", token)).status).toBe(403);
});

test("users push and pull by role; nobody is asked who they are", async () => {
  await using world = await RegistryWorld.open();
  await world.push("os-images/debian");
  const challenge = await world.call("GET", "", null);
  expect([challenge.status, challenge.headers.get("www-authenticate")]).toEqual([
    401,
    'Basic realm="prov"',
  ]);
  const status = async (method: string, path: string, who: string | null) =>
    (await world.call(method, path, who === null ? null : basic(who))).status;
  expect(await status("GET", "", "reader")).toBe(200);
  expect(await status("GET", "os-images/debian/manifests/13", "reader")).toBe(200);
  expect(await status("POST", "os-images/debian/blobs/uploads/", "reader")).toBe(403);
  expect(await status("GET", "os-images/debian/manifests/13", null)).toBe(401);
});

test("artifacts are listed and deleted through the API", async () => {
  await using world = await RegistryWorld.open();
  await world.push("os-images/debian");
  const { site } = world;
  const list = await site.api("GET", "/api/v1/artifacts");
  expect(list.body.artifacts).toMatchObject([
    { repository: "os-images/debian", tag: "13", digest: digestOf(MANIFEST) },
  ]);
  const path = "/api/v1/artifacts/os-images/debian:13";
  expect((await site.api("DELETE", path)).status).toBe(204);
  expect((await site.api("DELETE", path)).status).toBe(404);
  expect((await site.api("DELETE", "/api/v1/artifacts/debian")).status).toBe(400);
  await world.push("os-images/debian");
  for (const odd of ["13%3Fold", "13%23old", "..%2Fmanifests%2F13"]) {
    const { status } = await site.api("DELETE", `/api/v1/artifacts/os-images/debian:${odd}`);
    expect([odd, status]).toEqual([odd, 400]);
  }
});

test("R51 the audit log has the address of who hangs up at once", async () => {
  await using world = await RegistryWorld.open();
  await world.push("os-images/debian");
  const ways: readonly (readonly [string, string, string?])[] = [
    ["DELETE", "v2/os-images/debian/manifests/13"],
    ["POST", "api/v1/robots", JSON.stringify({ name: "ci", grants: [] })],
    ["PUT", "api/v1/registry/policy", "{}"],
  ];
  for (const [method, path, body] of ways) {
    const headers = { authorization: basic("admin") };
    const init = { method, headers, ...(body !== undefined && { body }) };
    let isOpen = true;
    // As Bun's listener, which forgets the address with the connection.
    const requestIP = () => (isOpen ? { address: "192.0.2.7" } : null);
    const sent = world.site.controller.fetch(new Request(`http://x/${path}`, init), { requestIP });
    isOpen = false;
    expect((await sent).ok).toBe(true);
    const { entries } = await world.registry.auditPage({ limit: 1 });
    expect([path, entries[0]?.address]).toEqual([path, "192.0.2.7"]);
  }
  const gone = { requestIP: () => null };
  await world.site.controller.fetch(
    new Request("http://x/v2/", { headers: { authorization: basic("admin", "wrong") } }),
    gone,
  );
  const { entries } = await world.registry.auditPage({ limit: 1 });
  expect(entries[0]).toMatchObject({ action: "login", address: "unknown" });
});

test("R53 an agent that goes on after its job is over blocks nobody who shares its address", async () => {
  await using world = await RegistryWorld.open();
  await world.push("os-images/debian");
  const { id, token } = await startJob(world, "os-images/debian:13");
  await world.site.api("DELETE", `/api/v1/jobs/${id}`);
  await world.site.complete(id);
  await world.site.clock.advance(60_000);
  for (let i = 0; i < 20; i++) expect((await world.call("GET", "", token)).status).toBe(401);
  expect((await world.call("GET", "", basic("reader"))).status).toBe(200);
  expect((await world.audited()).filter((line) => line.includes("login"))).toEqual([]);
});

test("R51 an index that names the same thing again and again is looked into once", async () => {
  await using world = await RegistryWorld.open();
  await world.push("os-images/all", "image");
  let [mediaType, text] = [IMAGE, MANIFEST];
  for (const tag of ["inner", "middle", "13"]) {
    const child = [mediaType, text] as const;
    [mediaType, text] = [INDEX, indexOf(Array.from({ length: 30 }, () => child))];
    await putManifest(world, `os-images/all/manifests/${tag}`, text);
  }
  const { registry } = world;
  let asked = 0;
  const handle: typeof registry.handle = (request, access) => {
    asked++;
    return registry.handle(request, access);
  };
  world.site.startAnother((deps) => ({ ...deps, registry: { ...registry, handle } }));
  const { token } = await startJob(world, "os-images/all:13");
  asked = 0;
  const answer = await world.call("GET", `os-images/all/blobs/${digestOf(LAYER)}`, token);
  expect([answer.status, asked]).toEqual([200, 5]);
});
