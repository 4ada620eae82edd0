// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { Site } from "./site.ts";

/** A job that is being worked on, and how its agent speaks to the controller. */
async function runningJob(site: Site) {
  await site.controller.start();
  const id = await site.createJob();
  await site.until(id, ({ phase }) => phase === "waiting");
  const token = (await site.store.jobs.payload(id))?.token ?? "";
  const post = (path: string, body: unknown, secret: string | null = token) =>
    site.api("POST", `/api/v1/${path}`, {
      as: null,
      body,
      ...(secret !== null && { headers: { "x-webhook-secret": secret } }),
    });
  return {
    id,
    report: (body: unknown, secret?: string | null) => post("status-webhook/SN1", body, secret),
    reportTo: (serial: string, body: unknown) => post(`status-webhook/${serial}`, body),
    progress: (events: unknown, secret?: string | null) =>
      post(`jobs/${id}/progress`, { events }, secret),
  };
}

const success = { status: "success", delivery_id: "d1" };

test("R47 a report counts once, however often it is delivered", async () => {
  await using site = await Site.open();
  const { id, report } = await runningJob(site);
  expect(await report(success)).toMatchObject({ status: 200, body: { ok: true } });
  expect((await report(success)).body).toEqual({ ok: true, idempotent: true });
  await site.complete(id);
  site.startAnother();
  expect((await report(success)).body).toEqual({ ok: true, idempotent: true });
  const failed = { status: "failed", failed_step: "image-linux.service" };
  expect((await report(failed)).body).toEqual({ ok: true, idempotent: true });
  expect(await site.store.jobs.get(id)).toMatchObject({ outcome: "succeeded", failedStep: null });
  expect(await site.story(id)).toContain("Ignored a report of failure of image-linux.service");
});

test("R47 the first cause stays", async () => {
  await using site = await Site.open();
  const { id, report } = await runningJob(site);
  await report({ status: "failed", failed_step: "partition.service", error: "No disk" });
  await report({ status: "failed", failed_step: "image-linux.service", error: "Later" });
  await site.complete(id);
  expect(await site.store.jobs.get(id)).toMatchObject({
    failedStep: "partition.service",
    error: "No disk",
  });
});

test.each([
  ["no secret", success, null, 401],
  ["an empty secret", success, "", 401],
  ["a wrong secret", success, "wrong", 403],
  ["no status", {}, undefined, 400],
  ["a failure without its step", { status: "failed" }, undefined, 400],
  ["another job's id", { ...success, job_id: "other" }, undefined, 403],
  ["no JSON", "{", undefined, 400],
  ["more than 64 KiB", { ...success, error: "x".repeat(70_000) }, undefined, 413],
])("R47 a report is refused: %s", async (_what, body, secret, status) => {
  await using site = await Site.open();
  const { id, report } = await runningJob(site);
  expect((await report(body, secret)).status).toBe(status);
  expect(await site.store.jobs.get(id)).toMatchObject({ status: "provisioning" });
});

test("R47 a report for another server is refused", async () => {
  await using site = await Site.open();
  const { reportTo } = await runningJob(site);
  expect((await reportTo("SN2", success)).status).toBe(403);
});

test("R47 guessing secrets is slowed down, and holds no agent back", async () => {
  await using site = await Site.open();
  const { report } = await runningJob(site);
  for (let i = 0; i < 10; i++) expect((await report(success, `guess-${i}`)).status).toBe(403);
  const blocked = await report(success, "guess-11");
  expect([blocked.status, blocked.headers.get("retry-after")]).toEqual([429, "60"]);
  // The agents of a site may share one address, that of a proxy.
  expect((await report(success)).status).toBe(200);
});

test("progress is shown, and a flood of log lines is cut", async () => {
  await using site = await Site.open();
  const { id, progress, report } = await runningJob(site);
  const step = "partition.service";
  await progress([
    { type: "checked-in", agent_version: "0.1.0" },
    { type: "checked-in", agent_version: "0.1.0" },
    { type: "step-started", step },
  ]);
  const lines = Array.from({ length: 100 }, (_, i) => ({
    type: "log",
    step,
    level: "info",
    message: `line ${i}`,
  }));
  expect((await progress(lines)).status).toBe(204);
  expect((await progress(lines)).status).toBe(204);
  await progress([{ type: "bytes", step, done: 1, total: null }, { type: "media-free" }]);
  const job = await site.store.jobs.get(id);
  expect(job?.progress).toMatchObject({ step, bytesDone: 1, bytesTotal: null });
  const story = await site.story(id);
  expect(story.match(/checked in/g)).toHaveLength(1);
  expect(story.match(/line \d+$/gm)).toHaveLength(60);
  expect(story.match(/More than 60 log lines/g)).toHaveLength(1);
  await report(success);
  const count = (await site.store.jobs.events(id, 0, 1000)).length;
  await progress([{ type: "log", step, level: "info", message: "late" }]);
  expect(await site.story(id)).not.toContain("late");
  expect(count).toBeLessThan(100);
});

test("a lost greeting fails no job: whatever the agent says first is its check-in", async () => {
  await using site = await Site.open();
  const { id, progress } = await runningJob(site);
  await progress([{ type: "step-started", step: "partition.service" }]);
  await site.until(id, ({ phase }) => phase === "running");
  expect(await site.story(id)).toContain("The agent checked in after");
});

test.each([
  [[{ type: "step-started" }], undefined, 400],
  ["none", undefined, 400],
  [[], "wrong", 403],
  [[], null, 401],
])("progress is refused: %p", async (events, secret, status) => {
  await using site = await Site.open();
  const { progress } = await runningJob(site);
  expect((await progress(events, secret)).status).toBe(status);
});
