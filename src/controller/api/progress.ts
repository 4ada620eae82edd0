// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import { assertNever } from "../../base/never.ts";
import { type Bytes, bytes, formatDuration } from "../../base/units.ts";
import type { Job, NewJobEvent } from "../../jobs/job.ts";
import { parseProgress } from "../../webhook/parse.ts";
import type { ProgressEvent } from "../../webhook/report.ts";
import type { LoginLimit } from "../auth/login-limit.ts";
import type { ControllerDeps } from "../ports.ts";
import { readObject } from "./body.ts";
import type { Api } from "./context.ts";
import { Refusal } from "./errors.ts";
import { jobOfToken, wrongSecret } from "./job-token.ts";
import { createLineLimit, type LineLimit } from "./line-limit.ts";

const LIMIT: Bytes = bytes(64 * 1024);

/** `POST /api/v1/jobs/{id}/progress`: how far the agent is. Best effort: losing any of it fails no job. */
export function progressRoutes(limit: LoginLimit, deps: ControllerDeps): Hono<Api> {
  const lines = createLineLimit(deps.now);
  return new Hono<Api>().post("/:id/progress", async (c) => {
    const job = await jobOfToken(c, limit, deps);
    if (job.id !== c.req.param("id")) throw wrongSecret();
    const { events, findings } = parseProgress((await readObject(c.req.raw, LIMIT)).document);
    if (events === undefined) {
      throw new Refusal("validation_error", "The progress is invalid", { details: findings });
    }
    // What trails behind the final report, or a cancel, is no progress any more.
    if (job.status === "provisioning") await record(job, events, lines, deps);
    return c.body(null, 204);
  });
}

async function record(
  job: Job,
  events: readonly ProgressEvent[],
  lines: LineLimit,
  deps: ControllerDeps,
): Promise<void> {
  const { jobs } = deps.store;
  const now = deps.now();
  const notes: NewJobEvent[] = [];
  // Whatever comes first says that the agent is there: the post with its greeting may have been lost.
  if (job.checkedInAt === null && (await jobs.checkIn(job.id, now))) {
    notes.push(checkedIn(events, job, now));
  }
  let progress = job.progress;
  for (const event of events) {
    switch (event.type) {
      case "checked-in":
        break;
      case "step-started":
        progress = { step: event.step, bytesDone: null, bytesTotal: null, updatedAt: now };
        notes.push({ level: "info", message: "Started", step: event.step });
        break;
      case "step-finished":
        notes.push({ level: "info", message: finished(event), step: event.step });
        break;
      case "bytes":
        progress = {
          step: event.step,
          bytesDone: event.done,
          bytesTotal: event.total,
          updatedAt: now,
        };
        break;
      case "log":
        notes.push(...lines.admit(job.id, event));
        break;
      case "media-free":
        notes.push({
          level: "info",
          message: "The agent no longer needs the boot medium",
          step: null,
        });
        break;
      default:
        assertNever(event);
    }
  }
  if (progress !== job.progress) await jobs.setProgress(job.id, progress);
  if (notes.length > 0) await jobs.note(job.id, notes, now);
}

function checkedIn(events: readonly ProgressEvent[], job: Job, now: number): NewJobEvent {
  const hello = events.find((event) => event.type === "checked-in");
  const agent = hello === undefined ? "The agent" : `The agent ${hello.agent_version}`;
  const since = formatDuration(now - job.phaseSince);
  return { level: "info", message: `${agent} checked in after ${since}`, step: null };
}

function finished(event: { readonly actions: number }): string {
  if (event.actions === 0) return "Finished: nothing had to be changed";
  return `Finished: ${event.actions} ${event.actions === 1 ? "action" : "actions"}`;
}
