// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock } from "../../base/deps.ts";
import { type Millis, minutes } from "../../base/units.ts";
import type { EventLevel, NewJobEvent } from "../../jobs/job.ts";

const WINDOW: Millis = minutes(1);
const LINES_PER_WINDOW = 60;
/** Half of what the API shows of a job: its end is the part that matters most. */
const LINES_PER_JOB = 5000;
const JOBS_MAX = 1000;

export interface LineLimit {
  /** The events to write for a log line of an agent: usually itself, nothing while there are too many. */
  admit(
    jobId: string,
    line: { readonly step: string; readonly level: EventLevel; readonly message: string },
  ): readonly NewJobEvent[];
}

/** Keeps a chatty tool from filling a job's history: 60 log lines a minute, 5000 in all, and one that says so. */
export function createLineLimit(now: Clock): LineLimit {
  const windows = new Map<string, { since: number; lines: number; total: number }>();
  return {
    admit(jobId, line) {
      const found = windows.get(jobId);
      const window =
        found !== undefined && found.since + WINDOW > now()
          ? found
          : { since: now(), lines: 0, total: found?.total ?? 0 };
      if (windows.size >= JOBS_MAX) windows.clear();
      windows.set(jobId, window);
      window.lines++;
      const { level, message, step } = line;
      const cut = (why: string): NewJobEvent[] => [
        { level: "warn", message: `${why}: the rest is only in the server's journal`, step },
      ];
      if (window.lines === LINES_PER_WINDOW + 1 && window.total < LINES_PER_JOB) {
        return cut(`More than ${LINES_PER_WINDOW} log lines in a minute`);
      }
      if (window.lines > LINES_PER_WINDOW || window.total > LINES_PER_JOB) return [];
      window.total++;
      if (window.total > LINES_PER_JOB) return cut(`More than ${LINES_PER_JOB} log lines`);
      return [{ level, message, step }];
    },
  };
}
