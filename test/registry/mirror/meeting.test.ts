// SPDX-License-Identifier: AGPL-3.0-or-later
/** Where the mirror meets what else a registry does: quotas, pushes, abandoned uploads, many transfers. */
import { expect, test } from "bun:test";
import { truncate } from "node:fs/promises";
import { silentLog } from "../../../src/base/deps.ts";
import { importTarget } from "../../../src/registry/archive/registry-doors.ts";
import { digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { type Disk, realDisk } from "../../../src/registry/storage/disk.ts";
import { repositoryBlobPath } from "../../../src/registry/storage/layout.ts";
import { filesBelow } from "../files-below.ts";
import { until } from "../raw.ts";
import { errorCode, noise, pushBlob, pushImage, text } from "../served.ts";
import { openSite } from "./site.ts";

const BLOBS = /blobs\//;
const SIZE = 3_000_000;
const HOUR = 3_600_000;
const bytes = noise(SIZE);

test("R51: content of a neighbour counts against the quota as well", async () => {
  await using site = await openSite();
  const rule = { repositories: "small/**", quota: "1MiB" };
  await site.mirror.registry.setPolicy({ rules: [rule] }, null);
  const digest = await pushBlob(site.central, "os/debian", bytes);
  await pushBlob(site.central, "small/debian", bytes);
  await (await site.mirror.ask("GET", `os/debian/blobs/${digest}`)).bytes();
  const answer = await site.mirror.ask("GET", `small/debian/blobs/${digest}`);
  expect(answer.status).toBe(507);
  expect(await errorCode(answer)).toBe("STORAGE_FULL");
});

test("a manifest whose blob breaks off upstream is not an internal error", async () => {
  await using site = await openSite();
  const layer = await pushBlob(site.central, "os/debian", bytes);
  const config = await pushBlob(site.mirror, "os/debian", text("{}"));
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.image,
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: config, size: 2 },
    layers: [{ mediaType: "application/octet-stream", digest: layer, size: SIZE }],
  });
  const headers = { "content-type": MEDIA_TYPE.image };
  site.link.fault = ({ method, range }) => {
    if (method !== "GET") return undefined;
    return range === undefined ? { cutAfter: 1_000_000 } : { answer: { status: 503 } };
  };
  const put = await site.mirror.ask("PUT", "os/debian/manifests/ours", { body, headers });
  expect(put.status).toBe(503);
  expect(await errorCode(put)).toBe("UNAVAILABLE");
});

test("what is pushed to a mirror need not wait for upstream", async () => {
  await using site = await openSite();
  site.link.up(false);
  const digest = digestOf("ours");
  for (const kind of ["blobs", "manifests"]) {
    const path = `os/debian/${kind}/${digest}`;
    expect((await site.mirror.ask("HEAD", path)).status).toBe(404);
    expect((await site.mirror.ask("GET", path)).status).toBe(503);
  }
  expect((await site.mirror.ask("HEAD", "os/debian/manifests/13")).status).toBe(503);
  const place = { registry: site.mirror.url, authorization: null, ca: null };
  const sleep = () => Promise.reject(new Error("it waits"));
  const target = importTarget(place, { fetch, sleep, now: Date.now, log: silentLog });
  expect(await target.hasBlob("os/debian", digest)).toBe(false);
  expect(await target.manifestDigest("os/debian", "13")).toBeUndefined();
  expect((await pushImage(site.mirror, "os/debian", "13")).response.status).toBe(201);
});

test("what a neighbour has damaged comes from upstream", async () => {
  await using site = await openSite();
  const digest = await pushBlob(site.central, "os/a", bytes);
  await pushBlob(site.central, "os/b", bytes);
  await (await site.mirror.ask("GET", `os/a/blobs/${digest}`)).bytes();
  await truncate(repositoryBlobPath(site.mirror.root, "os/a", digest), 10);
  const answer = await site.mirror.ask("GET", `os/b/blobs/${digest}`);
  expect(digestOf(await answer.bytes())).toBe(digest);
});

test("a small blob does not wait for the large ones", async () => {
  await using site = await openSite({ mirror: { upstreamWaits: {} } });
  const small = await pushBlob(site.central, "os/debian", text("{}"));
  const large = await Promise.all(
    Array.from({ length: 17 }, (_, i) =>
      pushBlob(site.central, "os/debian", noise(600_000, i + 2)),
    ),
  );
  const end = Promise.withResolvers<void>();
  site.link.fault = ({ method, path }) =>
    method === "GET" && !path.endsWith(small)
      ? { hold: { after: 300_000, until: end.promise } }
      : undefined;
  const answers = large.map((digest) => site.mirror.ask("GET", `os/debian/blobs/${digest}`));
  await until(() => site.link.count("GET", BLOBS) === 16);
  expect(await (await site.mirror.ask("GET", `os/debian/blobs/${small}`)).text()).toBe("{}");
  end.resolve();
  const came = answers.map(async (answer) => digestOf(await (await answer).bytes()));
  expect(await Promise.all(came)).toEqual(large);
}, 30_000);

test("a transfer that goes on with what is almost abandoned is not taken for that", async () => {
  await using site = await openSite({ mirror: { upstreamWaits: {} } });
  const digest = await pushBlob(site.central, "os/debian", bytes);
  const never = new Promise(() => undefined);
  site.link.fault = () => ({ hold: { after: 2_000_000, until: never } });
  site.mirror.ask("GET", `os/debian/blobs/${digest}`).catch(() => undefined);
  await until(() => site.link.passed() > 1_000_000);
  await site.restart();
  site.pass(23 * HOUR);
  const end = Promise.withResolvers<void>();
  site.link.fault = ({ method }) =>
    method === "GET" ? { hold: { after: 300_000, until: end.promise } } : undefined;
  const asked = site.link.asked.length;
  const answer = site.mirror.ask("GET", `os/debian/blobs/${digest}`);
  await until(() => site.link.asked.length === asked + 2);
  site.pass(2 * HOUR);
  await site.mirror.registry.sweep();
  end.resolve();
  expect(digestOf(await (await answer).bytes())).toBe(digest);
});

test("R49: when the disk has no room for a blob's name either, nothing of the blob stays", async () => {
  let isFull = true;
  const link: Disk["link"] = async (from, to) => {
    const isName = String(to).includes("/repos/");
    if (isFull && isName) throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
    await realDisk.link(from, to);
  };
  await using site = await openSite({ mirror: { disk: { ...realDisk, link } } });
  const digest = await pushBlob(site.central, "os/debian", text("small"));
  const get = () => site.mirror.ask("GET", `os/debian/blobs/${digest}`);
  expect((await get()).status).toBe(507);
  expect(await filesBelow(site.mirror.root)).toEqual([]);
  isFull = false;
  expect(await (await get()).text()).toBe("small");
});
