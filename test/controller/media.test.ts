// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { minutes } from "../../src/base/units.ts";
import { virtualCds } from "./fake-server.ts";
import { Site } from "./site.ts";

/** A job whose media are inserted: their paths by kind. */
async function inserted(site: Site, slots: number) {
  site.server.slots = virtualCds(slots);
  await site.controller.start();
  const id = await site.createJob();
  await site.until(id, ({ phase }) => phase === "waiting");
  const urls = [...site.server.media.values()].map((url) => new URL(url).pathname);
  const get = (path: string, init?: RequestInit) =>
    site.send(new Request(`http://10.0.0.1:8080${path}`, init));
  return { id, urls, get };
}

test("R18 media answer HEAD and ranges with their length", async () => {
  await using site = await Site.open();
  const { urls, get } = await inserted(site, 2);
  for (const path of urls) {
    const head = await get(path, { method: "HEAD" });
    expect(head.headers.get("content-type")).toBe("application/x-iso9660-image");
    expect(head.headers.get("accept-ranges")).toBe("bytes");
    const size = Number(head.headers.get("content-length"));
    expect(size).toBeGreaterThan(32_768);
    const part = await get(path, { headers: { range: "bytes=32768-34815" } });
    expect([part.status, part.headers.get("content-range")]).toEqual([
      206,
      `bytes 32768-34815/${size}`,
    ]);
    expect(part.headers.get("etag")).toBe(head.headers.get("etag"));
    const beyond = await get(path, { headers: { range: `bytes=${size}-` } });
    expect(beyond.status).toBe(416);
  }
});

test("R19 only GETs with content are counted, and they are a job's witnesses", async () => {
  await using site = await Site.open();
  const { id, urls, get } = await inserted(site, 2);
  const path = urls[0] ?? "";
  await get(path, { method: "HEAD" });
  expect((await site.store.media.forJob(id)).map(({ gets }) => gets)).toEqual([0, 0]);
  await get(path, { headers: { range: "bytes=0-2047" } });
  await get(path, { headers: { range: "bytes=2048-4095" } });
  expect((await site.store.media.forJob(id)).map(({ gets }) => gets)).toEqual([2, 0]);
  expect((await site.story(id)).match(/is being read/g)).toHaveLength(1);
});

test("R19 a media URL lives as long as its job, and is nothing to others", async () => {
  await using site = await Site.open();
  const { id, urls, get } = await inserted(site, 2);
  const path = urls[0] ?? "";
  expect(path).toMatch(/^\/m\/[a-z2-7]{32}\/boot\.iso$/);
  expect((await get(path)).status).toBe(200);
  expect((await get(path.replace("boot", "task"))).status).toBe(404);
  expect((await get("/m/aaaa/boot.iso")).status).toBe(404);
  await site.api("DELETE", `/api/v1/jobs/${id}`);
  await site.complete(id);
  expect((await get(path)).status).toBe(404);
  for (const url of urls) expect(site.logged.join("\n")).not.toContain(url.split("/")[2] ?? "");
});

test("R19 a media URL ends with the longest time a job can take", async () => {
  await using site = await Site.open();
  const id = await site.createJob();
  const now = site.clock.now();
  const { token } = await site.store.media.issue(id, "boot", now + 1000, now);
  const get = () => site.send(new Request(`http://x/m/${token}/boot.iso`));
  expect((await get()).status).toBe(200);
  await site.clock.advance(1000);
  expect((await get()).status).toBe(404);
});

test("R17 R20 the task is the same bytes after a restart, alone and inside the combined ISO", async () => {
  await using site = await Site.open();
  const { id, urls, get } = await inserted(site, 1);
  const hash = async () => {
    const bytes = await (await get(urls[0] ?? "")).bytes();
    return createHash("sha256").update(bytes).digest("hex");
  };
  const before = await hash();
  site.startAnother();
  expect(await hash()).toBe(before);
  expect(urls[0]).toEndWith("/combined.iso");
  const combined = Buffer.from(await (await get(urls[0] ?? "")).bytes());
  expect(combined.byteLength).toBe(Bun.file(site.config.maintenanceIso ?? "").size);
  const volume = `TASK_${id.replaceAll("-", "").slice(0, 27).toUpperCase()}`;
  expect(combined.includes(volume)).toBe(true);
  expect(combined.includes('"server_serial": "SN1"')).toBe(true);
});

test("R19 signed URLs: valid, tampered, expired, over with their job", async () => {
  const secrets = ["new-secret-new-secret", "old-secret-old-secret"];
  const deadlines = { mediaReadMs: minutes(60), checkInMs: minutes(60) };
  await using site = await Site.open({ mediaSigningSecrets: secrets, deadlines });
  const { id, get } = await inserted(site, 2);
  const made = await site.api("POST", `/api/v1/jobs/${id}/media-url`);
  const url = new URL(made.body.url);
  const path = `${url.pathname}${url.search}`;
  expect((await get(path)).status).toBe(200);
  expect((await get(path.replace(/sig=./, "sig=_"))).status).toBe(403);
  expect((await get(path.replace(/expires=\d/, "expires=9"))).status).toBe(403);
  expect((await get(url.pathname)).status).toBe(403);
  await site.clock.advance(31 * 60_000);
  expect((await get(path)).status).toBe(403);
  const second = await site.api("POST", `/api/v1/jobs/${id}/media-url`);
  const again = new URL(second.body.url);
  await site.api("DELETE", `/api/v1/jobs/${id}`);
  await site.complete(id);
  expect((await get(`${again.pathname}${again.search}`)).status).toBe(404);
  expect((await site.api("POST", `/api/v1/jobs/${id}/media-url`)).status).toBe(404);
  expect(site.logged.join("\n")).not.toContain(url.searchParams.get("sig") ?? "");
  const { status } = await site.api("POST", `/api/v1/jobs/${id}/media-url`, { as: "reader" });
  expect(status).toBe(403);
});
