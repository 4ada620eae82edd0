// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import { type Bytes, bytes, formatDuration } from "../../base/units.ts";
import type { Job } from "../../jobs/job.ts";
import type { Transition } from "../../jobs/lifecycle.ts";
import type { Advance } from "../../store/store.ts";
import { decideDelivery, type ReportVerdict } from "../../webhook/delivery.ts";
import { parseStatusReport } from "../../webhook/parse.ts";
import type { StatusReport } from "../../webhook/report.ts";
import type { LoginLimit } from "../auth/login-limit.ts";
import type { Metrics } from "../metrics.ts";
import type { ControllerDeps } from "../ports.ts";
import { readObject } from "./body.ts";
import type { Api } from "./context.ts";
import { Refusal } from "./errors.ts";
import { jobOfToken, wrongSecret } from "./job-token.ts";

const LIMIT: Bytes = bytes(64 * 1024);

/** `POST /api/v1/status-webhook/{serial}`: the agent's one final report. */
export function statusWebhookRoutes(
  limit: LoginLimit,
  metrics: Metrics,
  deps: ControllerDeps,
): Hono<Api> {
  return new Hono<Api>().post("/:serial", async (c) => {
    const job = await jobOfToken(c, limit, deps);
    if (job.serverSerial !== c.req.param("serial")) throw wrongSecret();
    const { report, findings } = parseStatusReport((await readObject(c.req.raw, LIMIT)).document);
    if (report === undefined) {
      throw new Refusal("validation_error", "The report is invalid", { details: findings });
    }
    if (report.job_id !== undefined && report.job_id !== job.id) throw wrongSecret();
    const verdict = await deliver(job, report, deps);
    const status = verdict.kind === "apply" ? report.status : "duplicate";
    metrics.count("webhook_received_total", { status });
    return c.json(verdict.kind === "apply" ? { ok: true } : { ok: true, idempotent: true });
  });
}

/** Does what the rules of delivery say, and says what that was. */
async function deliver(
  job: Job,
  report: StatusReport,
  deps: ControllerDeps,
): Promise<ReportVerdict> {
  const { jobs } = deps.store;
  const now = deps.now();
  const { delivery_id: delivery } = report;
  const isKnown = delivery !== undefined && (await jobs.isKnownDelivery(job.id, delivery));
  let verdict = decideDelivery(job, report, isKnown);
  if (verdict.kind === "apply") {
    const { transition, change } = effectOf(report, job, now);
    if ((await jobs.signal(job.id, transition, change, now)) !== undefined) {
      const fields = { job_id: job.id, server_serial: job.serverSerial };
      deps.log.info({ ...fields, status: report.status }, "status report received");
      return verdict;
    }
    // It was reported, canceled or timed out while we looked.
    verdict = decideDelivery((await jobs.get(job.id)) ?? job, report, isKnown);
  }
  if (verdict.kind === "ignore") {
    await jobs.note(job.id, [{ level: "warn", message: verdict.note, step: null }], now);
    if (delivery !== undefined) await jobs.recordDelivery(job.id, delivery, now);
  }
  return verdict;
}

function effectOf(
  report: StatusReport,
  job: Job,
  now: number,
): { readonly transition: Transition; readonly change: Advance } {
  const after = formatDuration(now - job.createdAt);
  const delivered = report.delivery_id === undefined ? {} : { deliveryId: report.delivery_id };
  if (report.status === "success") {
    const message = `The agent reports success, ${after} after the job was created`;
    return {
      transition: { kind: "reported-success" },
      change: { events: [{ level: "info", message, step: null }], ...delivered },
    };
  }
  const step = report.failed_step ?? "unknown";
  const error = report.error ?? `${step} failed`;
  return {
    transition: { kind: "failed" },
    change: {
      events: [{ level: "error", message: `The agent reports a failure: ${error}`, step }],
      failedStep: step,
      error,
      ...delivered,
    },
  };
}
