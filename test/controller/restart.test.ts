// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { Crash, type CrashPoint } from "./crash.ts";
import { settle } from "./fake-clock.ts";
import { Site } from "./site.ts";

const TRANSITIONS = [
  "power-off",
  "insert",
  "boot-override",
  "power-on",
  "waiting",
  "running",
  "cleanup",
  "cleaned-up",
];

/** What a successful job asks of its BMC. */
const CALLS = [
  "off",
  "eject",
  "insert CD1",
  "insert CD2",
  "boot once",
  "on",
  "off",
  "eject",
  "clear override",
  "on",
];

const POINTS: readonly (readonly [string, CrashPoint])[] = [
  ...TRANSITIONS.flatMap((transition) =>
    (["before", "after"] as const).map(
      (moment) => [`${moment} "${transition}" is written`, { moment, transition }] as const,
    ),
  ),
  ...CALLS.map(
    (call, i) => [`right after BMC call ${i + 1}, ${call}`, { afterCall: i + 1 }] as const,
  ),
];

test("the calls of a successful job are those of the table", async () => {
  await using site = await Site.open();
  await site.controller.start();
  await site.complete(await site.createJob());
  expect(site.server.calls).toEqual(CALLS);
});

test.each(POINTS)(
  "R7 a controller killed %s goes on without another reset",
  async (_name, point) => {
    await using site = await Site.open();
    const crash = new Crash(point, site.server);
    const live = site.send;
    site.startAnother(crash.around);
    await site.controller.start();
    const id = await site.createJob();
    const send = (request: Request) =>
      crash.happened ? Promise.resolve(new Response(null, { status: 503 })) : live(request);
    for (let i = 0; i < 100 && !crash.happened; i++) {
      await site.server.tick(send);
      await site.clock.advance(10_000);
    }
    expect(crash.happened).toBe(true);
    await site.clock.advance(30_000);
    await settle();

    site.startAnother();
    await site.controller.start();
    // The lease runs out before the agent speaks: nothing but the BMC says how far the server is.
    await site.clock.advance(70_000);
    await site.complete(id);

    const job = await site.store.jobs.get(id);
    expect(job).toMatchObject({ status: "complete", outcome: "succeeded", failedStep: null });
    expect(site.server.boots).toEqual({ task: 1, disk: 1 });
    expect(site.server).toMatchObject({ power: "On", override: false });
    expect(site.server.media.size).toBe(0);
    const events = await site.store.jobs.events(id, 0, 1000);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));
    const story = await site.story(id);
    expect(story).toContain("The agent reports success");
    if (
      job !== undefined &&
      !("transition" in point && point.transition === "cleaned-up" && point.moment === "after")
    ) {
      expect(story).toContain("went silent");
    }
  },
);

test("R47 a report that comes while no controller runs counts when the next one starts", async () => {
  await using site = await Site.open();
  await site.controller.start();
  const id = await site.createJob();
  await site.until(id, ({ phase }) => phase === "running");
  await site.controller.stop();
  // Longer than the whole budget of the phase: the agent goes on delivering meanwhile.
  await site.clock.advance(5 * 3_600_000);

  site.startAnother();
  await site.controller.start();
  await site.complete(id);
  expect(await site.store.jobs.get(id)).toMatchObject({ outcome: "succeeded" });
  expect(site.server.boots).toEqual({ task: 1, disk: 1 });
});

test("R3 R8 two controllers on one store drive a job once", async () => {
  await using site = await Site.open({ workerConcurrency: 4 });
  await site.controller.start();
  const first = site.controller;
  site.startAnother();
  await site.controller.start();
  const id = await site.createJob();
  await site.complete(id);
  expect(site.server.calls).toHaveLength(CALLS.length);
  expect(site.server.busiest).toBe(1);
  expect(site.server.boots).toEqual({ task: 1, disk: 1 });
  await first.stop();
});

test("R8 a worker that lost its lease stops before its next change", async () => {
  await using site = await Site.open();
  const { jobs } = site.store;
  await site.controller.start();
  const id = await site.createJob();
  await site.until(id, ({ phase }) => phase === "waiting");
  // Another controller takes the job over, as after a long pause of the first one's process.
  const later = site.clock.now() + 3_600_000;
  const taken = await jobs.claim("other", later, site.config.leaseTtlMs);
  expect(taken?.job.id).toBe(id);
  const before = site.server.calls.length;
  await jobs.signal(id, { kind: "canceled" }, { events: [] }, later);
  await site.clock.advance(60_000);
  expect(site.server.calls).toHaveLength(before);
  expect(await jobs.get(id)).toMatchObject({ status: "failed", phase: "reported" });
});

test("a job whose recipe this prov cannot carry out any more ends, and keeps no worker", async () => {
  await using site = await Site.open();
  await site.store.jobs.create(
    {
      id: "00000000-0000-4000-8000-00000000000f",
      serverSerial: "SN1",
      taskTarget: "gone.target",
      recipeText: '{"task_target":"gone.target"}',
      token: "t",
      idempotency: null,
    },
    site.clock.now(),
  );
  await site.controller.start();
  await site.complete("00000000-0000-4000-8000-00000000000f");
  const next = await site.createJob();
  await site.complete(next);
  expect(await site.store.jobs.get(next)).toMatchObject({ outcome: "succeeded" });
});

test("R6 a job whose recipe a newer prov cannot read is cleaned up all the same", async () => {
  await using site = await Site.open();
  await site.controller.start();
  const id = await site.createJob();
  await site.until(id, ({ phase }) => phase === "running");
  await site.controller.stop();
  const { jobs } = site.store;
  const payload = jobs.payload.bind(jobs);
  jobs.payload = async (of) => {
    const found = await payload(of);
    return found && { ...found, recipeText: '{"task_target":"gone.target"}' };
  };
  site.startAnother();
  await site.controller.start();
  await site.complete(id);
  expect(await jobs.get(id)).toMatchObject({ outcome: "failed", failedStep: "media.build" });
  expect(site.server).toMatchObject({ power: "Off", override: false });
  expect(site.server.media.size).toBe(0);
});

test("a job whose server's record cannot be read ends, and the server is free again", async () => {
  await using site = await Site.open();
  const id = await site.createJob();
  const { servers } = site.store;
  const get = servers.get.bind(servers);
  servers.get = () => Promise.reject(new TypeError("Cannot unseal servers.bmc_password/SN1"));
  await site.controller.start();
  await site.complete(id);
  expect(await site.store.jobs.get(id)).toMatchObject({ outcome: "failed" });
  servers.get = get;
  await site.complete(await site.createJob());
});

test("R12 what is old is removed, secrets first", async () => {
  await using site = await Site.open({ workerConcurrency: 0 });
  await site.controller.start();
  const id = await site.createJob();
  await site.api("DELETE", `/api/v1/jobs/${id}`);
  const day = 24 * 3_600_000;
  await site.clock.advance(15 * day);
  expect(await site.store.jobs.payload(id)).toBeUndefined();
  expect(await site.store.jobs.get(id)).toMatchObject({ outcome: "canceled" });
  await site.clock.advance(80 * day);
  expect(await site.store.jobs.get(id)).toBeUndefined();
});
