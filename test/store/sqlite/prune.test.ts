// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { millis } from "../../../src/base/units.ts";
import { newJob, server, storeWithJob } from "../fresh-store.ts";

const RETENTION = { secrets: millis(1000), jobs: millis(5000) };

test("secrets go first, then the job, and active jobs never (R12)", async () => {
  const store = await storeWithJob();
  await store.servers.put(server("SN2"), 1);
  await store.jobs.create(newJob("j2", "SN2"), 1);
  await store.media.issue("j1", "boot", 100, 15);
  await store.jobs.signal("j1", { kind: "canceled" }, { events: [] }, 20);

  expect(await store.prune(RETENTION, 1019)).toEqual({ secrets: 0, jobs: 0 });
  expect(await store.jobs.payload("j1")).toBeDefined();

  expect(await store.prune(RETENTION, 1020)).toEqual({ secrets: 1, jobs: 0 });
  expect(await store.jobs.payload("j1")).toBeUndefined();
  expect(await store.media.forJob("j1")).toEqual([]);
  expect((await store.jobs.byToken("CANARY-token-j1"))?.outcome).toBe("canceled");
  expect(await store.jobs.events("j1", 0, 10)).toHaveLength(1);
  expect(await store.prune(RETENTION, 1021)).toEqual({ secrets: 0, jobs: 0 });

  expect(await store.prune(RETENTION, 9999)).toEqual({ secrets: 0, jobs: 1 });
  expect(await store.jobs.get("j1")).toBeUndefined();
  expect(await store.jobs.events("j1", 0, 10)).toEqual([]);
  expect((await store.jobs.get("j2"))?.status).toBe("queued");
  expect(await store.jobs.payload("j2")).toBeDefined();
});
