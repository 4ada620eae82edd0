// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import type { Job } from "../../jobs/job.ts";
import { STATUSES } from "../../jobs/lifecycle.ts";
import type { CreatedJob, JobFilter } from "../../store/store.ts";
import type { ControllerConfig } from "../config.ts";
import type { TaskIsos } from "../media/task-iso.ts";
import type { ControllerDeps } from "../ports.ts";
import { DOCUMENT_LIMIT, readObject } from "./body.ts";
import type { Api, ApiContext } from "./context.ts";
import { invalidField, Refusal } from "./errors.ts";
import { toEventDocument, toJobDocument, toReceipt } from "./job-document.ts";
import { streamJob } from "./job-stream.ts";
import { checkSubmission, createJob, parseSubmission, sha256 } from "./submission.ts";
import { taskIsoUrl } from "./task-iso-url.ts";

const PAGE_DEFAULT = 50;
const PAGE_MAX = 200;
/** More than any job has: its log lines are bounded, see progress.ts. */
const EVENTS_SHOWN = 10_000;

/** `/api/v1/jobs` for people and their tools; what the agent calls is in progress.ts. */
export function jobRoutes(
  config: ControllerConfig,
  taskIsos: TaskIsos,
  deps: ControllerDeps,
): Hono<Api> {
  const { jobs } = deps.store;
  return new Hono<Api>()
    .post("/", (c) => submit(c, config, deps))
    .get("/", async (c) => {
      const page = await jobs.list(parseFilter(c));
      return c.json({ jobs: page.items.map(toJobDocument), next_cursor: page.cursor });
    })
    .get("/:id", async (c) => {
      const job = await existing(c, deps);
      const events = await jobs.events(job.id, 0, EVENTS_SHOWN);
      return c.json({ ...toJobDocument(job), events: events.map(toEventDocument) });
    })
    .delete("/:id", async (c) => {
      const job = await cancel(await existing(c, deps), nameOf(c), deps);
      return c.json(toJobDocument(job), 202);
    })
    .post("/:id/retry", (c) => retry(c, config, deps))
    .get("/:id/events", async (c) => streamJob(c, await existing(c, deps), deps))
    .post("/:id/media-url", async (c) =>
      taskIsoUrl(await existing(c, deps), config, taskIsos, deps),
    );
}

async function submit(
  c: ApiContext,
  config: ControllerConfig,
  deps: ControllerDeps,
): Promise<Response> {
  const body = await readObject(c.req.raw, DOCUMENT_LIMIT);
  const submission = parseSubmission(body);
  const { workflow } = await checkSubmission(submission, config, deps);
  const key = c.req.header("idempotency-key");
  const idempotency =
    key === undefined ? null : { key: `${nameOf(c)} ${key}`, bodyHash: sha256(body.text) };
  const created = await createJob(submission, workflow.target, idempotency, deps);
  return answer(c, created, deps, `Requested by ${nameOf(c)}: ${workflow.target}`);
}

/** A new job with the recipe of an old one. Asked twice, it is the same new job. */
async function retry(
  c: ApiContext,
  config: ControllerConfig,
  deps: ControllerDeps,
): Promise<Response> {
  const job = await existing(c, deps);
  if (job.status !== "complete") {
    throw new Refusal("conflict.job_state", `Job ${job.id} is not complete: cancel it first`);
  }
  const payload = await deps.store.jobs.payload(job.id);
  if (payload === undefined) {
    throw new Refusal("conflict.job_state", `The recipe of job ${job.id} was deleted: submit it`);
  }
  const submission = { serverSerial: job.serverSerial, recipeText: payload.recipeText };
  const { workflow } = await checkSubmission(submission, config, deps);
  const idempotency = { key: `retry ${job.id}`, bodyHash: sha256(payload.recipeText) };
  const created = await createJob(submission, workflow.target, idempotency, deps);
  return answer(c, created, deps, `Requested by ${nameOf(c)}: retry of job ${job.id}`);
}

async function answer(
  c: ApiContext,
  created: CreatedJob,
  deps: ControllerDeps,
  event: string,
): Promise<Response> {
  const { job } = created;
  switch (created.kind) {
    case "created":
      await deps.store.jobs.note(
        job.id,
        [{ level: "info", message: event, step: null }],
        deps.now(),
      );
      deps.log.info({ job_id: job.id, server_serial: job.serverSerial }, "job created");
      return c.json(toReceipt(job), 202);
    case "existing":
      return c.json(toReceipt(job), 200);
    case "key-reused":
      throw new Refusal(
        "conflict.idempotency_key",
        `This Idempotency-Key was used with another body, for job ${job.id}`,
      );
    case "busy":
      throw new Refusal(
        "conflict.active_job",
        `Server ${job.serverSerial} has an active job: ${job.id}`,
      );
  }
}

/** Idempotent: a job that is already canceled is answered as it is. */
async function cancel(job: Job, by: string, deps: ControllerDeps): Promise<Job> {
  const message = `Canceled by ${by}`;
  const canceled = await deps.store.jobs.signal(
    job.id,
    { kind: "canceled" },
    { events: [{ level: "warn", message, step: null }], error: message },
    deps.now(),
  );
  if (canceled !== undefined) return canceled;
  const now = (await deps.store.jobs.get(job.id)) ?? job;
  if (now.outcome === "canceled") return now;
  throw new Refusal("conflict.job_state", `Job ${job.id} is over already: ${now.outcome}`);
}

async function existing(c: ApiContext, deps: ControllerDeps): Promise<Job> {
  const id = c.req.param("id") ?? "";
  const job = await deps.store.jobs.get(id);
  if (job === undefined) throw new Refusal("not_found", `There is no job "${id}"`);
  return job;
}

function nameOf(c: ApiContext): string {
  const identity = c.get("identity");
  return identity.kind === "user" ? identity.name : identity.kind;
}

function parseFilter(c: ApiContext): JobFilter {
  const { status, server_serial: serverSerial, cursor, limit = `${PAGE_DEFAULT}` } = c.req.query();
  const known = STATUSES.find((s) => s === status);
  if (status !== undefined && known === undefined) {
    throw invalidField("/status", "enum", `must be one of ${STATUSES.join(", ")}`);
  }
  if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > PAGE_MAX) {
    throw invalidField("/limit", "range", `must be a number from 1 to ${PAGE_MAX}`);
  }
  return {
    limit: Number(limit),
    ...(known !== undefined && { status: known }),
    ...(serverSerial !== undefined && { serverSerial }),
    ...(cursor !== undefined && { cursor }),
  };
}
