// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { seconds } from "../../../src/base/units.ts";
import type { Phase, Transition } from "../../../src/jobs/lifecycle.ts";
import type { Lease, Store } from "../../../src/store/store.ts";
import { memoryStore, newJob, server, storeWithJob } from "../fresh-store.ts";

const TTL = seconds(30);
const NOTHING = { events: [] };
const note = (message: string) => ({ level: "info", message, step: null }) as const;

async function claim(store: Store, owner = "w1", now = 100): Promise<Lease> {
  const claimed = await store.jobs.claim(owner, now, TTL);
  if (claimed === undefined) throw new Error("Nothing to claim");
  return claimed.lease;
}

async function messages(store: Store, id = "j1"): Promise<string[]> {
  return (await store.jobs.events(id, 0, 100)).map((e) => e.message);
}

describe("create()", () => {
  test("gives a queued job with its history", async () => {
    const store = await storeWithJob();
    expect(await store.jobs.get("j1")).toEqual({
      id: "j1",
      serverSerial: "SN1",
      taskTarget: "install-linux.target",
      status: "queued",
      phase: null,
      outcome: null,
      failedStep: null,
      error: null,
      createdAt: 10,
      updatedAt: 10,
      phaseSince: 10,
      progress: null,
      bmcTouched: false,
      checkedInAt: null,
    });
    expect(await store.jobs.events("j1", 0, 10)).toEqual([{ seq: 1, time: 10, ...note("Queued") }]);
    expect(await store.jobs.payload("j1")).toEqual({
      recipeText: newJob("j1", "SN1").recipeText,
      token: "CANARY-token-j1",
      envelopeText: null,
    });
    expect((await store.jobs.byToken("CANARY-token-j1"))?.id).toBe("j1");
    expect(await store.jobs.byToken("CANARY-token-j2")).toBeUndefined();
  });

  test("refuses a second active job for a server (R3)", async () => {
    const store = await storeWithJob();
    const second = await store.jobs.create(newJob("j2", "SN1"), 11);
    expect(second).toMatchObject({ kind: "busy", job: { id: "j1" } });
    await store.jobs.signal("j1", { kind: "canceled" }, NOTHING, 12);
    expect((await store.jobs.create(newJob("j2", "SN1"), 13)).kind).toBe("created");
    expect((await store.jobs.activeFor("SN1"))?.id).toBe("j2");
  });

  test("knows idempotency keys, and for how a request differs (R2)", async () => {
    const store = await storeWithJob();
    await store.servers.put(server("SN2"), 1);
    const idempotency = { key: "k", bodyHash: "h" };
    const job = newJob("j2", "SN2", { idempotency });
    expect((await store.jobs.create(job, 1)).kind).toBe("created");
    const again = newJob("j3", "SN2", { idempotency });
    expect(await store.jobs.create(again, 2)).toMatchObject({
      kind: "existing",
      job: { id: "j2" },
    });
    const other = newJob("j4", "SN2", { idempotency: { key: "k", bodyHash: "other" } });
    expect((await store.jobs.create(other, 3)).kind).toBe("key-reused");
    expect((await store.jobs.list({ limit: 10 })).items.map((j) => j.id)).toEqual(["j2", "j1"]);
  });

  test("throws NOT_FOUND for a server that nobody added", async () => {
    const store = await memoryStore();
    await expect(store.jobs.create(newJob("j1", "SN9"), 1)).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: 'Cannot create a job for server "SN9": there is no such server',
    });
  });
});

describe("list()", () => {
  test("filters, and pages newest first (R4)", async () => {
    const store = await memoryStore();
    for (const n of [1, 2, 3, 4, 5]) {
      await store.servers.put(server(`SN${n}`), 1);
      await store.jobs.create(newJob(`j${n}`, `SN${n}`), 1);
    }
    await store.jobs.signal("j4", { kind: "canceled" }, NOTHING, 2);
    const pages: string[][] = [];
    let cursor: string | null = null;
    do {
      const page = await store.jobs.list({ limit: 2, ...(cursor === null ? {} : { cursor }) });
      pages.push(page.items.map((j) => j.id));
      cursor = page.cursor;
    } while (cursor !== null);
    expect(pages).toEqual([["j5", "j4"], ["j3", "j2"], ["j1"]]);
    const complete = await store.jobs.list({ limit: 5, status: "complete" });
    expect(complete.items.map((j) => j.id)).toEqual(["j4"]);
    const ofServer = await store.jobs.list({ limit: 5, serverSerial: "SN2" });
    expect(ofServer.items.map((j) => j.id)).toEqual(["j2"]);
  });

  test.each(["", "x", "0", "-1", "1;", "9".repeat(20)])(
    "throws USAGE for cursor %p",
    async (cursor) => {
      const store = await memoryStore();
      await expect(store.jobs.list({ limit: 1, cursor })).rejects.toMatchObject({ code: "USAGE" });
    },
  );
});

describe("leases (R8)", () => {
  test("claim() starts the oldest queued job, once", async () => {
    const store = await storeWithJob();
    expect(await store.jobs.claim("w1", 100, TTL)).toMatchObject({
      job: { id: "j1", status: "provisioning", phase: "media", phaseSince: 100 },
      lease: { jobId: "j1", owner: "w1", fence: 1 },
    });
    expect(await store.jobs.claim("w2", 101, TTL)).toBeUndefined();
    expect(await messages(store)).toEqual(["Queued", "Started by worker w1"]);
  });

  test("hands a job over in its phase once its lease has run out, and not before", async () => {
    const store = await storeWithJob();
    const loser = await claim(store);
    await store.jobs.advance(loser, { kind: "entered", phase: "insert" }, NOTHING, 200);
    expect(await store.jobs.heartbeat(loser, 1000, TTL)).toBe(true);
    expect(await store.jobs.claim("w2", 1000 + TTL - 1, TTL)).toBeUndefined();
    const taken = await store.jobs.claim("w2", 1000 + TTL, TTL);
    expect(taken).toMatchObject({
      job: { phase: "insert", phaseSince: 200 },
      lease: { owner: "w2", fence: 2 },
    });
    expect((await messages(store)).at(-1)).toBe(
      "Continued in phase insert by worker w2, because w1 went silent",
    );
  });

  test("a loser can write nothing more", async () => {
    const store = await storeWithJob();
    const loser = await claim(store);
    await claim(store, "w2", 100 + TTL);
    const before = await store.jobs.get("j1");
    const lost = { code: "LEASE_LOST" };
    const advanced = store.jobs.advance(loser, { kind: "failed" }, { events: [note("x")] }, 300);
    await expect(advanced).rejects.toMatchObject(lost);
    await expect(store.jobs.setEnvelope(loser, "{}")).rejects.toMatchObject(lost);
    expect(await store.jobs.heartbeat(loser, 300, TTL)).toBe(false);
    await store.jobs.release(loser, 300);
    expect(await store.jobs.get("j1")).toEqual(before);
    expect(await messages(store)).not.toContain("x");
  });

  test("a worker that claims its own job again gets a new fence", async () => {
    const store = await storeWithJob();
    const first = await claim(store);
    const second = await claim(store, "w1", 100 + TTL);
    expect(second.fence).toBe(first.fence + 1);
    expect(await store.jobs.heartbeat(first, 200, TTL)).toBe(false);
  });

  test("release() lets another worker take it at once", async () => {
    const store = await storeWithJob();
    await store.jobs.release(await claim(store), 101);
    const lease = await claim(store, "w2", 102);
    expect(lease.fence).toBe(2);
    expect((await messages(store)).at(-1)).toBe("Continued in phase media by worker w2");
  });
});

describe("advance() and signal()", () => {
  test("write the state, its events and the first cause together", async () => {
    const store = await storeWithJob();
    const lease = await claim(store);
    const job = await store.jobs.advance(
      lease,
      { kind: "failed" },
      {
        events: [note("a"), note("b")],
        failedStep: "redfish.insert",
        error: "no slot",
        bmcTouched: true,
      },
      200,
    );
    expect(job).toMatchObject({
      status: "failed",
      phase: "reported",
      outcome: "failed",
      phaseSince: 200,
    });
    const cleaned = await store.jobs.advance(
      lease,
      { kind: "cleaned-up" },
      { events: [note("c")], failedStep: "cleanup", error: "other" },
      300,
    );
    expect(cleaned).toMatchObject({
      status: "complete",
      phase: null,
      outcome: "failed",
      failedStep: "redfish.insert",
      error: "no slot",
      bmcTouched: true,
      updatedAt: 300,
    });
    expect((await store.jobs.events("j1", 2, 10)).map((e) => [e.seq, e.message])).toEqual([
      [3, "a"],
      [4, "b"],
      [5, "c"],
    ]);
    expect(await store.jobs.heartbeat(lease, 301, TTL)).toBe(false);
  });

  test("advance() throws CONFLICT when the agent was faster", async () => {
    const store = await storeWithJob();
    const lease = await claim(store);
    const report = { ...NOTHING, deliveryId: "d1" };
    const reported = await store.jobs.signal("j1", { kind: "reported-success" }, report, 150);
    expect(reported).toMatchObject({ status: "succeeded", phase: "reported" });
    expect(await store.jobs.isKnownDelivery("j1", "d1")).toBe(true);
    await expect(
      store.jobs.advance(lease, { kind: "entered", phase: "waiting" }, NOTHING, 160),
    ).rejects.toMatchObject({
      code: "CONFLICT",
      message: 'Cannot apply "entered" to job j1: it is succeeded/reported',
    });
    // The worker still holds the job and cleans it up.
    await store.jobs.advance(lease, { kind: "entered", phase: "cleanup" }, NOTHING, 170);
  });

  test("signal() changes nothing when the state does not expect it (R13)", async () => {
    const store = await storeWithJob();
    await store.jobs.signal("j1", { kind: "canceled" }, NOTHING, 20);
    const change = { events: [note("x")], deliveryId: "d1" };
    expect(await store.jobs.signal("j1", { kind: "canceled" }, change, 30)).toBeUndefined();
    expect(await store.jobs.signal("j9", { kind: "canceled" }, change, 30)).toBeUndefined();
    expect(await messages(store)).toEqual(["Queued"]);
    expect(await store.jobs.isKnownDelivery("j1", "d1")).toBe(false);
  });

  test("an event that cannot be written takes the transition back", async () => {
    const store = await storeWithJob();
    const lease = await claim(store);
    const events = [{ level: "loud", message: "x", step: null }] as never;
    await expect(store.jobs.advance(lease, { kind: "failed" }, { events }, 200)).rejects.toThrow();
    expect((await store.jobs.get("j1"))?.status).toBe("provisioning");
  });
});

describe("what the agent tells", () => {
  test("deliveries are known from the second time on (R47)", async () => {
    const store = await storeWithJob();
    expect(await store.jobs.recordDelivery("j1", "d1", 1)).toBe(true);
    expect(await store.jobs.recordDelivery("j1", "d1", 2)).toBe(false);
    expect(await store.jobs.recordDelivery("j1", "d2", 2)).toBe(true);
  });

  test("the first check-in counts", async () => {
    const store = await storeWithJob();
    expect(await store.jobs.checkIn("j1", 50)).toBe(true);
    expect(await store.jobs.checkIn("j1", 60)).toBe(false);
    expect((await store.jobs.get("j1"))?.checkedInAt).toBe(50);
  });

  test("progress comes and goes", async () => {
    const store = await storeWithJob();
    const progress = { step: "image-linux.service", bytesDone: 5, bytesTotal: null, updatedAt: 70 };
    await store.jobs.setProgress("j1", progress);
    expect(await store.jobs.get("j1")).toMatchObject({ progress, updatedAt: 70 });
    await store.jobs.setProgress("j1", null);
    expect(await store.jobs.get("j1")).toMatchObject({ progress: null, updatedAt: 70 });
  });

  test("note() throws NOT_FOUND for a job that does not exist", async () => {
    const store = await memoryStore();
    await expect(store.jobs.note("j1", [note("x")], 1)).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });

  test("the envelope is written once", async () => {
    const store = await storeWithJob();
    const lease = await claim(store);
    await store.jobs.setEnvelope(lease, "{1}");
    await store.jobs.setEnvelope(lease, "{1}");
    expect((await store.jobs.payload("j1"))?.envelopeText).toBe("{1}");
    await expect(store.jobs.setEnvelope(lease, "{2}")).rejects.toMatchObject({ code: "CONFLICT" });
  });
});

describe("waiting", () => {
  const CHANGES: [string, (store: Store, lease: Lease) => Promise<unknown>][] = [
    ["a transition", (s, l) => s.jobs.advance(l, entered("power-off"), NOTHING, 200)],
    ["a signal", (s) => s.jobs.signal("j1", { kind: "canceled" }, NOTHING, 200)],
    ["an event", (s) => s.jobs.note("j1", [note("x")], 200)],
    ["progress", (s) => s.jobs.setProgress("j1", null)],
    ["the check-in", (s) => s.jobs.checkIn("j1", 200)],
    ["a release", (s, l) => s.jobs.release(l, 200)],
    ["the envelope", (s, l) => s.jobs.setEnvelope(l, "{}")],
    ["closing", (s) => s.close()],
  ];

  test.each(CHANGES)("changed() resolves after %s", async (_what, change) => {
    const store = await storeWithJob();
    const lease = await claim(store);
    const changed = store.jobs.changed("j1", new AbortController().signal);
    await change(store, lease);
    await changed;
  });

  test("changed() does not resolve for another job, and does when the signal aborts", async () => {
    const store = await storeWithJob();
    const abort = new AbortController();
    let isResolved = false;
    const changed = store.jobs.changed("j2", abort.signal).then(() => {
      isResolved = true;
    });
    await store.jobs.note("j1", [note("x")], 1);
    expect(isResolved).toBe(false);
    abort.abort();
    await changed;
    await store.jobs.changed("j2", abort.signal);
  });

  test("claimable() resolves when a job is created or released", async () => {
    const store = await memoryStore();
    await store.servers.put(server("SN1"), 1);
    const { signal } = new AbortController();
    const created = store.jobs.claimable(signal);
    await store.jobs.create(newJob("j1", "SN1"), 1);
    await created;
    const lease = await claim(store);
    const released = store.jobs.claimable(signal);
    await store.jobs.release(lease, 2);
    await released;
  });
});

const entered = (phase: Phase): Transition => ({ kind: "entered", phase });
