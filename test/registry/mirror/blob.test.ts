// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { until } from "../raw.ts";
import { errorCode, exchange, noise, pushBlob, pushImage, text } from "../served.ts";
import { type MirrorSite, openSite } from "./site.ts";

const BLOBS = /blobs\//;
const SIZE = 3_000_000;
const bytes = noise(SIZE);

const get = (site: MirrorSite, digest: string, init?: RequestInit) =>
  site.mirror.ask("GET", `os/debian/blobs/${digest}`, init);

const request = (digest: string) =>
  `GET /v2/os/debian/blobs/${digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;

/** Waits until a condition holds. */
const uploads = (site: MirrorSite) => readdir(join(site.mirror.root, "uploads"));

/** Reads at least `least` bytes of a body that goes on. */
async function readSome(response: Response, least: number) {
  const reader = response.body?.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const read = async (wanted: number) => {
    while (size < wanted) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (done || value === undefined) break;
      chunks.push(value);
      size += value.byteLength;
    }
    return Buffer.concat(chunks);
  };
  await read(least);
  return { rest: () => read(Number.POSITIVE_INFINITY), cancel: () => reader?.cancel() };
}

test("a blob comes from upstream once, is whole, and is served from here afterwards", async () => {
  await using site = await openSite();
  const digest = await pushBlob(site.central, "os/debian", bytes);
  const first = await get(site, digest);
  expect(first.status).toBe(200);
  expect(first.headers.get("docker-content-digest")).toBe(digest);
  expect(digestOf(await first.bytes())).toBe(digest);
  const second = await get(site, digest);
  expect(second.headers.get("content-length")).toBe(`${SIZE}`);
  expect(digestOf(await second.bytes())).toBe(digest);
  site.link.up(false);
  expect(digestOf(await (await get(site, digest)).bytes())).toBe(digest);
  expect(site.link.count("GET", BLOBS)).toBe(1);
  expect(site.mirror.registry.mirrorCounts()).toEqual({
    requests: { hit: 2, miss: 1, stale: 0, error: 0 },
    bytes: SIZE,
  });
  expect(await uploads(site)).toEqual([]);
});

test("a blob on its way goes out in chunks: how Bun.serve sends a stream whatever it is told", async () => {
  await using site = await openSite();
  const digest = await pushBlob(site.central, "os/debian", bytes);
  const [head = ""] = (await exchange(site.mirror.port, request(digest))).split("\r\n\r\n", 1);
  expect(head.toLowerCase()).toContain("transfer-encoding: chunked");
  expect(head.toLowerCase()).not.toContain("content-length");
});

test("HEAD of a blob that is not here tells its length and brings nothing", async () => {
  await using site = await openSite();
  const digest = await pushBlob(site.central, "os/debian", bytes);
  const head = await site.mirror.ask("HEAD", `os/debian/blobs/${digest}`);
  expect(head.status).toBe(200);
  expect(head.headers.get("content-length")).toBe(`${SIZE}`);
  expect(site.link.count("GET", BLOBS)).toBe(0);
  const nowhere = await site.mirror.ask("HEAD", `os/debian/blobs/${digestOf("nowhere")}`);
  expect(nowhere.status).toBe(404);
});

test("small blobs are answered whole, with their length: also an empty one", async () => {
  await using site = await openSite();
  for (const content of [text(""), text("{}"), noise(200_000)]) {
    const digest = await pushBlob(site.central, "os/debian", content);
    const answer = await get(site, digest);
    expect(answer.headers.get("content-length")).toBe(`${content.byteLength}`);
    expect(digestOf(await answer.bytes())).toBe(digest);
  }
});

test("what nobody has is unknown; without upstream nobody knows", async () => {
  await using site = await openSite();
  const missing = await get(site, digestOf("nowhere"));
  expect(missing.status).toBe(404);
  expect(await errorCode(missing)).toBe("BLOB_UNKNOWN");
  site.link.up(false);
  const unknown = await get(site, digestOf("nowhere"));
  expect(unknown.status).toBe(503);
  expect(await errorCode(unknown)).toBe("UNAVAILABLE");
});

test("50 clients get a blob's bytes while they come, over one transfer", async () => {
  await using site = await openSite();
  const digest = await pushBlob(site.central, "os/debian", noise(1_200_000));
  const held = Promise.withResolvers<void>();
  site.link.fault = ({ method }) =>
    method === "GET" ? { hold: { after: 700_000, until: held.promise } } : undefined;
  const come = () =>
    Promise.all(Array.from({ length: 25 }, async () => readSome(await get(site, digest), 400_000)));
  // The second half finds the transfer under way.
  const readers = [...(await come()), ...(await come())];
  // All of them are reading what upstream has not finished to send.
  expect(site.link.passed()).toBeLessThan(800_000);
  held.resolve();
  for (const reader of readers) expect(digestOf(await reader.rest())).toBe(digest);
  expect(site.link.count("GET", BLOBS)).toBe(1);
  expect(site.link.passed()).toBeLessThan(1_300_000);
}, 30_000);

test.each([
  ["bytes=0-99", 0, 100],
  ["bytes=1000000-1999999", 1_000_000, 2_000_000],
  ["bytes=2999000-", 2_999_000, SIZE],
  ["bytes=-1", SIZE - 1, SIZE],
])("a Range of a blob on its way waits for its bytes: %s", async (range, start, end) => {
  await using site = await openSite();
  const digest = await pushBlob(site.central, "os/debian", bytes);
  const held = Promise.withResolvers<void>();
  site.link.fault = ({ method }) =>
    method === "GET" ? { hold: { after: 500_000, until: held.promise } } : undefined;
  const asked = get(site, digest, { headers: { range } });
  await until(() => site.link.count("GET", BLOBS) === 1);
  held.resolve();
  const answer = await asked;
  expect(answer.status).toBe(206);
  expect(answer.headers.get("content-range")).toBe(`bytes ${start}-${end - 1}/${SIZE}`);
  expect(await answer.bytes()).toEqual(bytes.subarray(start, end));
});

test("a Range behind the end of a blob on its way is refused", async () => {
  await using site = await openSite();
  const digest = await pushBlob(site.central, "os/debian", bytes);
  const answer = await get(site, digest, { headers: { range: `bytes=${SIZE}-` } });
  expect(answer.status).toBe(416);
  expect(answer.headers.get("content-range")).toBe(`bytes */${SIZE}`);
});

test("a client that goes away takes nothing from the others, nor from the mirror", async () => {
  await using site = await openSite();
  const digest = await pushBlob(site.central, "os/debian", bytes);
  const held = Promise.withResolvers<void>();
  site.link.fault = ({ method }) =>
    method === "GET" ? { hold: { after: 1_500_000, until: held.promise } } : undefined;
  const [one, other] = await Promise.all([get(site, digest), get(site, digest)]);
  const leaving = await readSome(one, 1_000_000);
  const staying = await readSome(other, 1_000_000);
  await leaving.cancel();
  held.resolve();
  expect(digestOf(await staying.rest())).toBe(digest);

  // And when all of them have left, it comes all the same.
  const again = await pushBlob(site.central, "os/debian", noise(SIZE, 9));
  const rest = Promise.withResolvers<void>();
  site.link.fault = ({ method }) =>
    method === "GET" ? { hold: { after: 1_500_000, until: rest.promise } } : undefined;
  await (await readSome(await get(site, again), 1_000_000)).cancel();
  rest.resolve();
  await until(async () => (await uploads(site)).length === 0);
  site.link.up(false);
  expect(digestOf(await (await get(site, again)).bytes())).toBe(again);
});

test("an upstream that breaks off is asked for the rest, and clients notice nothing", async () => {
  await using site = await openSite();
  const digest = await pushBlob(site.central, "os/debian", bytes);
  site.link.fault = ({ method }) =>
    method === "GET" && site.link.count("GET", BLOBS) < 3 ? { cutAfter: 1_000_000 } : undefined;
  expect(digestOf(await (await get(site, digest)).bytes())).toBe(digest);
  const ranges = site.link.asked.flatMap(({ range }) => range ?? []);
  expect(ranges).toHaveLength(2);
  expect(ranges[0]).toMatch(/^bytes=[1-9]\d*-$/);
});

test("an upstream that goes silent is left, and asked for the rest", async () => {
  await using site = await openSite({ mirror: { upstreamWaits: { stall: 300 as never } } });
  const digest = await pushBlob(site.central, "os/debian", bytes);
  site.link.fault = ({ method }) =>
    method === "GET" && site.link.count("GET", BLOBS) === 1
      ? { hold: { after: 1_000_000, until: new Promise(() => undefined) } }
      : undefined;
  expect(digestOf(await (await get(site, digest)).bytes())).toBe(digest);
  expect(site.link.count("GET", BLOBS)).toBe(2);
});

test("R49: when a blob does not come, the client's connection breaks and nothing looks complete", async () => {
  await using site = await openSite();
  const digest = await pushBlob(site.central, "os/debian", bytes);
  site.link.fault = ({ method, range }) => {
    if (method !== "GET") return undefined;
    return range === undefined ? { cutAfter: 1_000_000 } : { answer: { status: 503 } };
  };
  const broken = exchange(site.mirror.port, request(digest));
  await expect(get(site, digest).then((answer) => answer.bytes())).rejects.toThrow();
  const received = await broken;
  expect(received).toStartWith("HTTP/1.1 200");
  expect(received.length).toBeGreaterThan(1000);
  // What ends a chunked body.
  expect(received).not.toEndWith("0\r\n\r\n");
  expect((await site.mirror.ask("HEAD", `os/debian/blobs/${digest}`)).status).toBe(200);

  // The next one goes on where it broke.
  site.link.fault = () => undefined;
  expect(digestOf(await (await get(site, digest)).bytes())).toBe(digest);
  expect(site.link.asked.at(-1)?.range).toMatch(/^bytes=[1-9]\d*-$/);
});

test("bytes of another digest are not stored, and no client takes them for whole", async () => {
  await using site = await openSite();
  const digest = await pushBlob(site.central, "os/debian", bytes);
  const small = await pushBlob(site.central, "os/debian", text("a small one"));
  site.link.fault = ({ method, path }) =>
    method === "GET" ? { flipAt: path.endsWith(small) ? 400 : 1_000_000 } : undefined;
  const received = await exchange(site.mirror.port, request(digest));
  expect(received.length).toBeGreaterThan(2_000_000);
  expect(received).not.toEndWith("0\r\n\r\n");
  site.link.fault = ({ method }) =>
    method === "GET" ? { answer: { status: 200, body: "A small one" } } : undefined;
  expect((await get(site, small)).status).toBe(503);
  expect(await uploads(site)).toEqual([]);
  site.link.up(false);
  expect((await get(site, digest)).status).toBe(503);

  // Nothing of it is in the way of the right bytes.
  site.link.up(true);
  site.link.fault = () => undefined;
  expect(digestOf(await (await get(site, digest)).bytes())).toBe(digest);
  expect(await (await get(site, small)).text()).toBe("a small one");
});

test("R49: a mirror that is restarted midway goes on where it was", async () => {
  await using site = await openSite();
  const digest = await pushBlob(site.central, "os/debian", noise(8_000_000, 7));
  const never = new Promise(() => undefined);
  site.link.fault = ({ method }) =>
    method === "GET" ? { hold: { after: 5_000_000, until: never } } : undefined;
  await readSome(await get(site, digest), 4_000_000);
  await site.restart();
  site.link.fault = () => undefined;
  expect(digestOf(await (await get(site, digest)).bytes())).toBe(digest);
  expect(await uploads(site)).toEqual([]);
  expect(site.link.asked.at(-1)?.range).toMatch(/^bytes=4\d{6}-$/);
});

test("R49: a disk without room answers 507 and keeps nothing", async () => {
  await using site = await openSite({ mirror: { reserveBytes: Number.MAX_SAFE_INTEGER } });
  const digest = await pushBlob(site.central, "os/debian", bytes);
  const answer = await get(site, digest);
  expect(answer.status).toBe(507);
  expect(await errorCode(answer)).toBe("STORAGE_FULL");
  expect(site.link.count("GET", BLOBS)).toBe(0);
  await until(async () => (await uploads(site)).length === 0);
});

test("R51: what comes from upstream stays under the quota of its repository", async () => {
  await using site = await openSite();
  const rule = { repositories: "os/**", quota: "2MiB" };
  await site.mirror.registry.setPolicy({ rules: [rule] }, null);
  const [fits, tooMuch] = [noise(500_000), bytes];
  const small = await pushBlob(site.central, "os/debian", fits);
  const large = await pushBlob(site.central, "os/debian", tooMuch);
  expect((await get(site, small)).status).toBe(200);
  const answer = await get(site, large);
  expect(answer.status).toBe(507);
  expect(await answer.text()).toContain("quota");
  expect(site.link.count("GET", new RegExp(large))).toBe(0);
});

test("content that another repository has is linked, once upstream has said that it belongs here", async () => {
  await using site = await openSite();
  const digest = await pushBlob(site.central, "os/debian", bytes);
  await (await get(site, digest)).bytes();
  const elsewhere = await site.mirror.ask("GET", `os/copy/blobs/${digest}`);
  expect(elsewhere.status).toBe(404);
  await pushBlob(site.central, "os/copy", bytes);
  const copy = await site.mirror.ask("GET", `os/copy/blobs/${digest}`);
  expect(digestOf(await copy.bytes())).toBe(digest);
  // Only when it was not there, to be sure of that.
  expect(site.link.count("GET", /^os\/copy\/blobs\//)).toBe(1);
});

test("who relies on a HEAD and does not push a blob gets it stored with the manifest", async () => {
  await using site = await openSite();
  const layer = await pushBlob(site.central, "os/debian", bytes);
  const config = await pushBlob(site.mirror, "os/debian", text("{}"));
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.image,
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: config, size: 2 },
    layers: [{ mediaType: "application/octet-stream", digest: layer, size: SIZE }],
  });
  const headers = { "content-type": MEDIA_TYPE.image };
  const put = await site.mirror.ask("PUT", "os/debian/manifests/ours", { body: manifest, headers });
  expect(put.status).toBe(201);
  site.link.up(false);
  expect(digestOf(await (await get(site, layer)).bytes())).toBe(layer);
});

test("an index brings the manifest and the layers that are asked for, and no others", async () => {
  await using site = await openSite();
  const amd64 = await pushImage(site.central, "os/debian", "amd64", { layers: [noise(300_000)] });
  const arm64 = await pushImage(site.central, "os/debian", "arm64", { layers: [noise(400_000)] });
  const manifests = [amd64, arm64].map(({ digest, manifest }) => ({
    mediaType: MEDIA_TYPE.image,
    digest,
    size: manifest.length,
  }));
  const body = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests });
  const headers = { "content-type": MEDIA_TYPE.index };
  await site.central.ask("PUT", "os/debian/manifests/13", { body, headers });
  expect((await site.mirror.ask("GET", "os/debian/manifests/13")).status).toBe(200);
  const child = await site.mirror.ask("GET", `os/debian/manifests/${amd64.digest}`);
  expect(await child.text()).toBe(amd64.manifest);
  const layer = digestOf(noise(300_000));
  expect(digestOf(await (await get(site, layer)).bytes())).toBe(layer);
  expect(site.link.asked.some(({ path }) => path.includes(arm64.digest))).toBe(false);
});
