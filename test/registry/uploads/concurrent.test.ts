// SPDX-License-Identifier: AGPL-3.0-or-later
/** Requests for one upload at the same time, as impatient clients and proxies send them. */
import { expect, test } from "bun:test";
import * as fs from "node:fs/promises";
import { digestOf } from "../../../src/registry/digest.ts";
import type { Disk } from "../../../src/registry/storage/disk.ts";
import { connectRaw, until } from "../raw.ts";
import { noise, type Served, serveRegistry } from "../served.ts";

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
