// SPDX-License-Identifier: AGPL-3.0-or-later
/** Requests for one upload at the same time, as impatient clients and proxies send them, and what is left of one by a crash. */
import { expect, test } from "bun:test";
import * as fs from "node:fs/promises";
import { dirname } from "node:path";
import { digestOf } from "../../../src/registry/digest.ts";
import { type Disk, realDisk } from "../../../src/registry/storage/disk.ts";
import { storePath } from "../../../src/registry/storage/layout.ts";
import { connectRaw, until } from "../raw.ts";
import { noise, pushBlob, type Served, serveRegistry } from "../served.ts";

async function begin(served: Served): Promise<string> {
  const response = await served.ask("POST", "a/blobs/uploads/");
  return (response.headers.get("location") ?? "").replace("/v2/", "");
}

async function received(served: Served, upload: string): Promise<number> {
  const response = await served.ask("GET", upload);
  return Number(response.headers.get("range")?.slice(2)) + 1;
}

/** A disk that stands still at the first link, until it is let go on. */
function stoppingDisk() {
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const disk: Disk = {
    ...fs,
    async link(from, to) {
      reached.resolve();
      await released.promise;
      await fs.link(from, to);
    },
  };
  return { disk, reached: reached.promise, release: released.resolve };
}

test.each([
  ["which says nothing of its place", {}],
  ["which says its place", { "content-range": "5-9" }],
])("R49: a chunk %s does not get into a blob that is being finished", async (_, headers) => {
  const { disk, reached, release } = stoppingDisk();
  await using served = await serveRegistry({ disk });
  const upload = await begin(served);
  const digest = digestOf("01234");
  await served.ask("PATCH", upload, { body: "01234" });
  const put = served.ask("PUT", `${upload}?digest=${digest}`);
  await reached;
  const late = served.ask("PATCH", upload, { body: "56789", headers });
  await Promise.race([late, Bun.sleep(100)]);
  release();
  expect((await put).status).toBe(201);
  expect([404, 409]).toContain((await late).status);
  expect(await (await served.ask("GET", `a/blobs/${digest}`)).text()).toBe("01234");
});

test("R49: of several clients that come back at the same time only one goes on", async () => {
  await using served = await serveRegistry();
  const upload = await begin(served);
  const bytes = noise(900_000);
  const stale = await connectRaw(served.port);
  await stale.send(`PATCH /v2/${upload} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n`);
  await stale.send(bytes.subarray(0, 300_000));
  await until(async () => (await received(served, upload)) > 1);
  const resume = async (start: number) => {
    const response = await served.ask("PATCH", upload, {
      body: bytes.slice(start),
      headers: { "content-range": `${start}-899999` },
    });
    return response.status;
  };
  const statuses = await Promise.all([300_000, 300_000, 300_000].map(resume));
  expect(statuses.filter((status) => status === 202).length).toBeLessThanOrEqual(1);
  const reached = await received(served, upload);
  if (reached < bytes.byteLength) expect(await resume(reached)).toBe(202);
  const digest = digestOf(bytes);
  expect((await served.ask("PUT", `${upload}?digest=${digest}`)).status).toBe(201);
  const found = await served.ask("GET", `a/blobs/${digest}`);
  expect(digestOf(await found.bytes())).toBe(digest);
  stale.terminate();
});

test("R49: an upload whose commit a crash has cut short goes on without changing what is stored", async () => {
  const before = await serveRegistry();
  const bytes = noise(3000);
  const digest = digestOf(bytes);
  const upload = await begin(before);
  await before.ask("PATCH", upload, { body: bytes });
  await before.crash();
  await before.registry.close();
  const stored = storePath(before.root, digest);
  await fs.mkdir(dirname(stored), { recursive: true });
  await fs.link(`${before.root}/uploads/${upload.split("/").at(-1)}`, stored);

  await using after = await serveRegistry({ root: before.root });
  await pushBlob(after, "b", bytes);
  expect((await after.ask("PATCH", upload, { body: "more" })).status).toBe(202);
  expect(digestOf(await (await after.ask("GET", `b/blobs/${digest}`)).bytes())).toBe(digest);
  const longer = digestOf(Buffer.concat([bytes, Buffer.from("more")]));
  expect((await after.ask("PUT", `${upload}?digest=${longer}`)).status).toBe(201);
  expect(await fs.readdir(`${after.root}/uploads`)).toEqual([]);
});

test("R49: a copy for which there is no room is not left behind", async () => {
  const copyFile: Disk["copyFile"] = async (_from, to) => {
    await fs.writeFile(to, "half");
    throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  };
  await using served = await serveRegistry({ disk: { ...realDisk, copyFile } });
  const upload = await begin(served);
  await served.ask("PATCH", upload, { body: "01234" });
  await fs.link(`${served.root}/uploads/${upload.split("/").at(-1)}`, `${served.root}/blob`);
  expect((await served.ask("PATCH", upload, { body: "56789" })).status).toBe(507);
  expect(await fs.readdir(`${served.root}/uploads`)).toEqual([]);
});
