// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { openStore } from "../../../src/store/sqlite/open.ts";
import { KEY, newJob, server, storeWithJob } from "../fresh-store.ts";

test("every token is another one that nobody can guess (R19)", async () => {
  const store = await storeWithJob();
  const issued = [
    await store.media.issue("j1", "boot", 5000, 100),
    await store.media.issue("j1", "task", 5000, 100),
    await store.media.issue("j1", "boot", 6000, 101),
  ];
  for (const { token } of issued) expect(token).toMatch(/^[a-z2-7]{32}$/);
  expect(new Set(issued.map((m) => m.token)).size).toBe(3);
  expect(await store.media.forJob("j1")).toEqual(issued);
  expect(issued[0]).toMatchObject({
    jobId: "j1",
    kind: "boot",
    createdAt: 100,
    expiresAt: 5000,
    revokedAt: null,
    gets: 0,
    firstGetAt: null,
    lastGetAt: null,
  });
  expect(await store.media.get(issued[1]?.token ?? "")).toEqual(issued[1]);
  expect(await store.media.get("a".repeat(32))).toBeUndefined();
});

test("tokens are the randomness in base32 (RFC 4648, 10)", async () => {
  const random = (n: number) => new Uint8Array(Buffer.from("foobarfoobarfoobarfo")).subarray(0, n);
  const store = await openStore({ path: ":memory:", key: KEY, random });
  await store.servers.put(server("SN1"), 1);
  await store.jobs.create(newJob("j1", "SN1"), 1);
  const { token } = await store.media.issue("j1", "boot", 2, 1);
  // As coreutils' base32 writes it, in lower case.
  expect(token).toBe("mzxw6ytbojtg633cmfzgm33pmjqxeztp");
});

test("GETs are counted, however fast they come, and the first wakes the job's worker", async () => {
  const store = await storeWithJob();
  const { token } = await store.media.issue("j1", "boot", 5000, 100);
  const woken = store.jobs.changed("j1", new AbortController().signal);
  await store.media.countGet(token, 1000);
  await woken;
  for (const now of [1001, 1500, 1999, 2000, 2001]) await store.media.countGet(token, now);
  const counted = { gets: 6, firstGetAt: 1000, lastGetAt: 2001 };
  expect(await store.media.get(token)).toMatchObject(counted);
  await store.media.revoke("j1", 3000);
  expect(await store.media.get(token)).toMatchObject({ ...counted, revokedAt: 3000 });
  await store.media.countGet("a".repeat(32), 1000);
});

test("revoking again keeps the first time", async () => {
  const store = await storeWithJob();
  await store.media.issue("j1", "boot", 5000, 100);
  await store.media.revoke("j1", 200);
  const second = await store.media.issue("j1", "boot", 5000, 300);
  expect(second.revokedAt).toBeNull();
  await store.media.revoke("j1", 400);
  expect((await store.media.forJob("j1")).map((m) => m.revokedAt)).toEqual([200, 400]);
});

test("R19 no media URL outlives its job, even when nothing was cleaned up", async () => {
  const store = await storeWithJob();
  await store.media.issue("j1", "boot", 5000, 100);
  await store.jobs.signal("j1", { kind: "canceled" }, { events: [] }, 300);
  expect((await store.media.forJob("j1")).map((m) => m.revokedAt)).toEqual([300]);
});
