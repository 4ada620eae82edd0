// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The agent delivers its report at least once; these rules make it count exactly once.
 */
import type { StatusReport } from "./report.ts";

/** What the rules need to know of a job; its statuses and outcomes are those of `jobs/lifecycle.ts`. */
export interface ReportedJob {
  readonly status: "queued" | "provisioning" | "succeeded" | "failed" | "complete";
  readonly outcome: "succeeded" | "failed" | "canceled" | null;
}

export type ReportVerdict =
  /** The job ends as the report says. */
  | { readonly kind: "apply" }
  /** It was heard before: answer 200 and change nothing. */
  | { readonly kind: "repeat" }
  /** It comes too late or too soon to count: answer 200, and leave the note in the job's events. */
  | { readonly kind: "ignore"; readonly note: string };

/**
 * What to do with a report that was proven to come from the job's agent. Every verdict is answered
 * with 200: an agent that is told otherwise would go on delivering.
 *
 * The state decides, and not only the delivery id: a controller may have stopped after it noted the id
 * and before it moved the job.
 *
 * @param isKnown whether a report with this delivery id has come before.
 */
export function decideDelivery(
  job: ReportedJob,
  report: StatusReport,
  isKnown: boolean,
): ReportVerdict {
  if (job.status === "provisioning") return { kind: "apply" };
  const said = report.status === "success" ? "success" : `failure of ${report.failed_step}`;
  if (job.status === "queued") {
    return { kind: "ignore", note: `Ignored a report of ${said}: the job has not started` };
  }
  const outcome = report.status === "success" ? "succeeded" : "failed";
  if (isKnown || outcome === job.outcome) return { kind: "repeat" };
  return {
    kind: "ignore",
    note: `Ignored a report of ${said}: the job already ${ENDED[job.outcome ?? "failed"]}`,
  };
}

const ENDED = {
  succeeded: "succeeded",
  failed: "failed",
  canceled: "was canceled",
} as const satisfies Record<NonNullable<ReportedJob["outcome"]>, string>;
