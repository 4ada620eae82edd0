// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { minutes } from "../../src/base/units.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { createRegistry } from "../../src/registry/registry.ts";
import { everything, pushBlob, text } from "../registry/served.ts";
import { Site } from "./site.ts";

const HOUR = minutes(60);
const GC = "/api/v1/registry/gc";

/** A controller with a real registry, and what stands between a client and it. */
async function openWithRegistry() {
  const root = mkdtempSync(join(tmpdir(), "prov-upkeep-"));
  const site = await Site.open();
  const { now, sleep } = site.clock;
  const registry = await createRegistry({ root, log: site.deps.log, now, sleep });
  site.startAnother((deps) => ({ ...deps, registry }));
  const ask = (method: string, path: string, init?: RequestInit) =>
    registry.handle(new Request(`http://prov.test/v2/${path}`, { ...init, method }), everything);
  const collections = () => site.logged.filter((line) => line.includes("garbage collected"));
  return {
    ...{ site, registry, ask, collections },
    /** Lets hours pass until it is so. */
    async until(isSo: () => boolean | Promise<boolean>): Promise<void> {
      while (!(await isSo())) {
        await site.clock.advance(HOUR);
        // Files take their own time.
        await Bun.sleep(1);
      }
    },
    async [Symbol.asyncDispose]() {
      await site[Symbol.asyncDispose]();
      await registry.close();
      rmSync(root, { recursive: true });
    },
  };
}

test("R50: the controller collects garbage and compares what is stored, now and then, but not while read-only", async () => {
  await using world = await openWithRegistry();
  const { site, registry, ask, until, collections } = world;
  await pushBlob({ ask }, "a", text("unused"));
  await registry.setPolicy({ read_only: true }, null);
  await site.controller.start();
  await until(async () => (await registry.housekeeping.scrub.progress()).finishedAt !== null);
  for (let hours = 0; hours < 30; hours++) await site.clock.advance(HOUR);
  expect(collections()).toEqual([]);
  expect((await registry.housekeeping.usage()).contents).toBe(1);
  await registry.setPolicy({}, null);
  await until(async () => (await registry.housekeeping.usage()).contents === 0);
  expect(site.logged.filter((line) => line.startsWith("error"))).toEqual([]);
}, 30_000);

test("a collection that was asked for is in the log, with what it has removed", async () => {
  await using world = await openWithRegistry();
  const { site, ask, collections } = world;
  await pushBlob({ ask }, "a", text("unused"));
  const body = { grace_seconds: 0 };
  expect((await site.api("POST", GC, { as: "admin", body })).status).toBe(200);
  expect(collections()).toEqual([expect.stringContaining('"blobs":1')]);
});

test.each([
  [{ dry_run: "true", grace_seconds: 0 }, "/dry_run"],
  [{ dry_run: 1, grace_seconds: 0 }, "/dry_run"],
  [{ "dry-run": true, grace_seconds: 0 }, "/dry-run"],
  [{ grace_seconds: "0" }, "/grace_seconds"],
  [{ grace_seconds: -1 }, "/grace_seconds"],
])("%j is no collection, and removes nothing", async (body, path) => {
  await using world = await openWithRegistry();
  const { site, ask } = world;
  const blob = await pushBlob({ ask }, "a", text("unused"));
  const answer = await site.api("POST", GC, { as: "admin", body });
  expect([answer.status, answer.body.details?.[0]?.path]).toEqual([400, path]);
  expect(blob).toBe(digestOf("unused"));
  expect((await ask("HEAD", `a/blobs/${blob}`)).status).toBe(200);
});
