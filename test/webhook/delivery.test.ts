// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import {
  decideDelivery,
  type ReportedJob,
  type ReportVerdict,
} from "../../src/webhook/delivery.ts";
import type { StatusReport } from "../../src/webhook/report.ts";

const SUCCESS: StatusReport = { status: "success" };
const FAILED: StatusReport = { status: "failed", failed_step: "partition.service" };
const running: ReportedJob = { status: "provisioning", outcome: null };
const succeeded: ReportedJob = { status: "succeeded", outcome: "succeeded" };
const failed: ReportedJob = { status: "failed", outcome: "failed" };
const complete: ReportedJob = { status: "complete", outcome: "succeeded" };
const canceled: ReportedJob = { status: "complete", outcome: "canceled" };

const apply: ReportVerdict = { kind: "apply" };
const repeat: ReportVerdict = { kind: "repeat" };
const ignore = (note: string): ReportVerdict => ({ kind: "ignore", note });

test.each<[string, ReportedJob, StatusReport, boolean, ReportVerdict]>([
  ["the first report", running, SUCCESS, false, apply],
  ["a failure", running, FAILED, false, apply],
  ["one that was noted before a crash and never counted", running, SUCCESS, true, apply],
  ["the same again", succeeded, SUCCESS, true, repeat],
  ["the same again after cleanup", complete, SUCCESS, true, repeat],
  ["one without id that says the same", complete, SUCCESS, false, repeat],
  [
    "a success after a failure",
    failed,
    SUCCESS,
    false,
    ignore("Ignored a report of success: the job already failed"),
  ],
  [
    "a failure after a success",
    complete,
    FAILED,
    false,
    ignore("Ignored a report of failure of partition.service: the job already succeeded"),
  ],
  [
    "a success after a cancel",
    canceled,
    SUCCESS,
    false,
    ignore("Ignored a report of success: the job already was canceled"),
  ],
  ["a contradiction that was noted before", failed, SUCCESS, true, repeat],
  [
    "one for a job that nobody started",
    { status: "queued", outcome: null },
    SUCCESS,
    false,
    ignore("Ignored a report of success: the job has not started"),
  ],
])("decides on %s (R47)", (_what, job, report, isKnown, verdict) => {
  expect(decideDelivery(job, report, isKnown)).toEqual(verdict);
});
