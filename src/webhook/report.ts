// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What the agent tells the controller: one final status report, and progress on the way there.
 * Both sides share these types and their parsers.
 */

/** Body of `POST /api/v1/status-webhook/{serial}`; the job's token comes in `X-Webhook-Secret`. */
export interface StatusReport {
  readonly status: "success" | "failed";
  /** The unit that failed first: `partition.service`. Present exactly when the status is failed. */
  readonly failed_step?: string;
  /** Why it failed, for people; no secrets. */
  readonly error?: string;
  /** UUID that stays the same over all attempts to deliver this report. */
  readonly delivery_id?: string;
  readonly job_id?: string;
  readonly task_target?: string;
  /** RFC 3339. */
  readonly started_at?: string;
  readonly finished_at?: string;
}

/** One entry of `events` in the body of `POST /api/v1/jobs/{id}/progress`. */
export type ProgressEvent =
  | { readonly type: "checked-in"; readonly agent_version: string }
  | { readonly type: "step-started"; readonly step: string }
  | { readonly type: "step-finished"; readonly step: string; readonly actions: number }
  | {
      readonly type: "bytes";
      readonly step: string;
      readonly done: number;
      readonly total: number | null;
    }
  | {
      readonly type: "log";
      readonly step: string;
      readonly level: "info" | "warn" | "error";
      readonly message: string;
    }
  | { readonly type: "media-free" };
