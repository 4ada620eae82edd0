// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import { stringAt } from "../base/json.ts";
import { minutes, seconds } from "../base/units.ts";
import type { Answer } from "./answer.ts";
import { pathOf } from "./exchange.ts";
import { retryAfter } from "./retry.ts";
import type { WaitDeps } from "./wait.ts";

/** An insert may download the whole image before its task ends. */
const TASK_TIMEOUT = minutes(10);

const POLL = seconds(2);

/** Ends of a Task that are no success (DSP2046, Task, TaskState). */
const FAILED_STATES = ["Exception", "Killed", "Cancelled"];
const RUNNING_STATES = [
  "New",
  "Pending",
  "Service",
  "Starting",
  "Running",
  "Stopping",
  "Cancelling",
  "Suspended",
  "Interrupted",
];

/**
 * Follows a 202 to the operation's own answer (DSP0266, "Asynchronous operations"). A Task that failed
 * becomes an answer with status 400 and the Task's messages. A 202 that names no monitor, and a monitor that
 * is gone (some BMCs delete it with the Task), are taken as the end: the caller reads the state anyway.
 *
 * @param read GET with retries; never throws for an HTTP status.
 * @throws {ProvError} `BMC_TIMED_OUT` after ten minutes.
 */
export async function followTask(
  accepted: Answer,
  read: (path: string) => Promise<Answer>,
  deps: WaitDeps,
): Promise<Answer> {
  const link = accepted.headers.get("location") ?? taskLink(accepted.body);
  if (link === undefined) return accepted;
  const path = pathOf(link);
  const end = deps.now() + TASK_TIMEOUT;
  let latest = accepted;
  while (deps.now() < end) {
    await deps.sleep(
      retryAfter(latest.headers.get("retry-after"), deps.now()) ?? POLL,
      deps.signal,
    );
    latest = await read(path);
    if (latest.status === 404 || latest.status === 410) return accepted;
    const result = outcome(latest);
    if (result !== undefined) return result;
  }
  throw new ProvError(`Cannot finish a task of the BMC: ${path} is still running`, {
    code: "BMC_TIMED_OUT",
  });
}

function outcome(answer: Answer): Answer | undefined {
  const state = stringAt(answer.body, "TaskState");
  if (state === undefined) return answer.status === 202 ? undefined : answer;
  if (RUNNING_STATES.includes(state)) return undefined;
  const failed =
    FAILED_STATES.includes(state) || stringAt(answer.body, "TaskStatus") === "Critical";
  return { ...answer, status: failed ? 400 : 200 };
}

function taskLink(body: unknown): string | undefined {
  const isTask = stringAt(body, "@odata.type")?.startsWith("#Task.") ?? false;
  return isTask ? (stringAt(body, "TaskMonitor") ?? stringAt(body, "@odata.id")) : undefined;
}
