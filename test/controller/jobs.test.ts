// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { RECIPE, Site } from "./site.ts";

const JOBS = "/api/v1/jobs";
const request = { server_serial: "SN1", recipe: RECIPE };

test("R1 a job is answered with 202 and exactly four fields", async () => {
  await using site = await Site.open();
  const { status, body } = await site.api("POST", JOBS, { body: request });
  expect(status).toBe(202);
  expect(body).toEqual({
    job_id: "00000002-0000-4000-8000-000000000000",
    status: "queued",
    server_serial: "SN1",
    created_at: "2026-01-01T00:00:00.000Z",
  });
});

const REFUSED = [
  { what: "no credentials", as: null, body: request, status: 401, error: "unauthorized" },
  { what: "a wrong password", as: "nobody", body: request, status: 401, error: "unauthorized" },
  { what: "a reader", as: "reader", body: request, status: 403, error: "forbidden" },
  { what: "no JSON", body: "{", status: 400, error: "invalid_json" },
  { what: "no object", body: "[]", status: 400, error: "invalid_request" },
  { what: "no recipe", body: { server_serial: "SN1" }, status: 400, path: "/recipe" },
  { what: "no serial", body: { recipe: RECIPE }, status: 400, path: "/server_serial" },
  { what: "an unknown field", body: { ...request, x: 1 }, status: 400, path: "/x" },
  {
    what: "an unknown server",
    body: { ...request, server_serial: "SN9" },
    status: 404,
    error: "not_found",
  },
  {
    what: "a bad size",
    body: {
      ...request,
      recipe: { ...RECIPE, partition_layout: [{ size: "0", type_guid: "ef00", format: "vfat" }] },
    },
    status: 400,
    path: "/partition_layout/0/size",
  },
  {
    what: "a target without a workflow",
    body: { ...request, recipe: { task_target: "mine.target" } },
    status: 400,
    path: "/task_target",
  },
  {
    what: "an artifact that is not there",
    body: { ...request, recipe: { ...RECIPE, oci_url: "os-images/debian:12" } },
    status: 400,
    path: "/oci_url",
  },
  {
    what: "an artifact of which only a part was pushed",
    body: { ...request, recipe: { ...RECIPE, oci_url: "os-images/debian:half" } },
    status: 400,
    path: "/oci_url",
  },
  {
    what: "a body above 4 MiB",
    body: { ...request, recipe: { user_data: "x".repeat(5 * 2 ** 20) } },
    status: 413,
    error: "too_large",
  },
];

test.each(REFUSED)("R1 a job is refused: $what", async ({ as = "operator", body, ...wanted }) => {
  await using site = await Site.open();
  const answer = await site.api("POST", JOBS, { as, body });
  expect(answer.status).toBe(wanted.status);
  expect(answer.body.error).toBe(wanted.error ?? "validation_error");
  if (wanted.path !== undefined) {
    const found = answer.body.details.find((d: { path: string }) => d.path === wanted.path);
    expect(Object.keys(found)).toEqual(["path", "code", "message"]);
  }
  if (wanted.status === 401) expect(answer.headers.get("www-authenticate")).toStartWith("Basic ");
  expect((await site.api("GET", JOBS)).body.jobs).toEqual([]);
});

test("R2 an Idempotency-Key makes one job, and is bound to its body", async () => {
  await using site = await Site.open();
  const headers = { "idempotency-key": "k1" };
  const first = await site.api("POST", JOBS, { body: request, headers });
  const again = await site.api("POST", JOBS, { body: request, headers });
  expect([first.status, again.status]).toEqual([202, 200]);
  expect(again.body).toEqual(first.body);
  const other = await site.api("POST", JOBS, {
    body: { ...request, recipe: { ...RECIPE, wipe: "never" } },
    headers,
  });
  expect([other.status, other.body.error]).toEqual([409, "conflict.idempotency_key"]);
  expect((await site.api("GET", JOBS)).body.jobs).toHaveLength(1);
});

test("R3 a server takes one job at a time, however many ask at once", async () => {
  await using site = await Site.open();
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => site.api("POST", JOBS, { body: request })),
  );
  const statuses = answers.map(({ status }) => status).toSorted();
  expect(statuses).toEqual([202, ...Array.from({ length: 19 }, () => 409)]);
  expect(answers.find(({ status }) => status === 409)?.body.error).toBe("conflict.active_job");
});

test("the recipe is kept as it was written, byte for byte", async () => {
  await using site = await Site.open();
  const recipe = `{ "user_data" : "caf\\u00e9", ${JSON.stringify(RECIPE).slice(1)}`;
  const { body } = await site.api("POST", JOBS, {
    body: `{"recipe": ${recipe}, "server_serial":"SN1"}`,
  });
  expect((await site.store.jobs.payload(body.job_id))?.recipeText).toBe(recipe);
});

test("R4 a job shows its state and keeps its failed step; the recipe is not shown", async () => {
  await using site = await Site.open();
  site.server.script = [
    ...site.server.script.slice(0, 5),
    { report: { status: "failed", failed_step: "image-linux.service", error: "No space" } },
  ];
  await site.controller.start();
  const id = await site.createJob();
  await site.until(id, ({ phase }) => phase === "running");
  await site.server.tick(site.send);
  await site.server.tick(site.send);
  await site.server.tick(site.send);
  await site.server.tick(site.send);
  const running = await site.api("GET", `${JOBS}/${id}`, { as: "reader" });
  expect(running.body).toMatchObject({
    status: "provisioning",
    phase: "running",
    outcome: null,
    failed_step: null,
    progress: { step: "image-linux.service", bytes_done: 5, bytes_total: 10 },
  });
  await site.complete(id);
  const { body, text } = await site.api("GET", `${JOBS}/${id}`);
  expect(body).toMatchObject({
    status: "complete",
    phase: null,
    outcome: "failed",
    failed_step: "image-linux.service",
    error: "No space",
    task_target: "install-linux.target",
  });
  expect(body.events.map(({ seq }: { seq: number }) => seq)).toEqual(
    body.events.map((_: unknown, i: number) => i + 1),
  );
  expect(text).not.toContain("CANARY");
});

test("R4 lists filter and page", async () => {
  await using site = await Site.open();
  for (let i = 0; i < 3; i++) {
    const id = await site.createJob();
    await site.api("DELETE", `${JOBS}/${id}`);
    await site.clock.advance(1000);
  }
  await site.createJob();
  const page = await site.api("GET", `${JOBS}?limit=3`);
  expect(page.body.jobs).toHaveLength(3);
  const rest = await site.api("GET", `${JOBS}?limit=3&cursor=${page.body.next_cursor}`);
  expect([rest.body.jobs.length, rest.body.next_cursor]).toEqual([1, null]);
  const queued = await site.api("GET", `${JOBS}?status=queued&server_serial=SN1`);
  expect(queued.body.jobs).toHaveLength(1);
  for (const query of ["status=lost", "limit=0", "limit=1000", "cursor=none"]) {
    expect((await site.api("GET", `${JOBS}?${query}`)).status).toBe(400);
  }
});

test.each([
  ["GET", "/nothing"],
  ["GET", "/api/v1/nothing"],
  ["GET", "/api/v1/jobs/none"],
  ["DELETE", "/api/v1/jobs/none"],
  ["GET", "/media/isos/x.iso"],
  ["PUT", "/api/v1/jobs"],
])("R4 %s %s is a 404 in JSON", async (method, path) => {
  await using site = await Site.open();
  const { status, body } = await site.api(method, path);
  expect([status, body.error]).toEqual([404, "not_found"]);
});

test("R13 cancel and retry are idempotent", async () => {
  await using site = await Site.open();
  const id = await site.createJob();
  expect((await site.api("POST", `${JOBS}/${id}/retry`)).status).toBe(409);
  const first = await site.api("DELETE", `${JOBS}/${id}`);
  const again = await site.api("DELETE", `${JOBS}/${id}`);
  expect([first.status, again.status]).toEqual([202, 202]);
  expect(again.body).toMatchObject({ status: "complete", outcome: "canceled" });

  const retried = await site.api("POST", `${JOBS}/${id}/retry`);
  const twice = await site.api("POST", `${JOBS}/${id}/retry`);
  expect([retried.status, twice.status]).toEqual([202, 200]);
  expect(twice.body.job_id).toBe(retried.body.job_id);
  expect(retried.body.job_id).not.toBe(id);
  const recipe = (await site.store.jobs.payload(retried.body.job_id))?.recipeText;
  expect(recipe).toBe(JSON.stringify(RECIPE));
});

test("R13 a job that is over cannot be canceled", async () => {
  await using site = await Site.open();
  await site.controller.start();
  const id = await site.createJob();
  await site.complete(id);
  const { status, body } = await site.api("DELETE", `${JOBS}/${id}`);
  expect([status, body.error]).toEqual([409, "conflict.job_state"]);
});

test("a stream of events resumes where it was cut, and ends with the job", async () => {
  await using site = await Site.open();
  const id = await site.createJob();
  const response = await site.send(
    new Request(`http://127.0.0.1${JOBS}/${id}/events`, {
      headers: { authorization: `Basic ${btoa("reader:reader")}`, "last-event-id": "1" },
    }),
  );
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  const text = response.text();
  await site.controller.start();
  await site.complete(id);
  const frames = (await text).split("\n\n").filter((frame) => frame !== "");
  const ids = frames.flatMap((frame) => /^id: (\d+)/.exec(frame)?.[1] ?? []);
  const events = await site.store.jobs.events(id, 1, 1000);
  expect(ids).toEqual(events.map(({ seq }) => String(seq)));
  expect(frames.at(-1)).toBe("event: end\ndata: {}");
  expect(frames.findLast((frame) => frame.startsWith("event: job"))).toContain(
    '"outcome":"succeeded"',
  );
});

test("a stream that has ended waits for nothing any more", async () => {
  await using site = await Site.open({ workerConcurrency: 0 });
  const waiting: AbortSignal[] = [];
  const { jobs } = site.store;
  const changed = jobs.changed.bind(jobs);
  jobs.changed = (id, signal) => {
    waiting.push(signal);
    return changed(id, signal);
  };
  const id = await site.createJob();
  await site.api("DELETE", `${JOBS}/${id}`);
  expect((await site.api("GET", `${JOBS}/${id}/events`)).text).toEndWith(
    "event: end\ndata: {}\n\n",
  );
  expect(waiting.map(({ aborted }) => aborted)).toEqual([true]);
});

test("POST /plan shows what would be done, and does nothing", async () => {
  await using site = await Site.open();
  const { status, body } = await site.api("POST", "/api/v1/plan", { body: request });
  expect(status).toBe(200);
  expect(body.plans.map(({ step }: { step: string }) => step)).toEqual([
    "partition",
    "image-linux",
    "bootloader-linux",
    "config-drive",
  ]);
  expect((await site.api("GET", JOBS)).body.jobs).toEqual([]);
});
