// SPDX-License-Identifier: AGPL-3.0-or-later
import { describeError, ProvError } from "../../base/errors.ts";
import { formatDuration, type Millis, millis, minutes } from "../../base/units.ts";
import type { Job, NewJobEvent } from "../../jobs/job.ts";
import type { Bmc } from "../../redfish/bmc.ts";
import { cutOff } from "./interrupt.ts";
import { enter, info, type PhaseContext, type Step, warn } from "./phase.ts";

/** A job that never changed anything at its BMC has nothing to clean up. */
export function runReported({ job, deps }: PhaseContext): Promise<Step> {
  if (job.bmcTouched) return Promise.resolve(enter("cleanup"));
  return Promise.resolve(complete(job, [], deps.now()));
}

export function runCleanup(context: PhaseContext): Promise<Step> {
  const { job, recipe, deadlines, bmc, signal, deps } = context;
  const startsDisk = job.outcome === "succeeded" && recipe.powerAfter === "on";
  const giveUpAt = context.until(deadlines.phase.cleanup);
  return cleanUp({ job, startsDisk, giveUpAt, bmc, signal, deps });
}

/** What a cleanup needs to know: less than a phase, so that a job whose recipe cannot be read gets one too. */
interface Cleaning extends Pick<PhaseContext, "job" | "bmc" | "signal" | "deps"> {
  /** Whether the server is switched on in the end. */
  readonly startsDisk: boolean;
  /** Unix epoch, ms. */
  readonly giveUpAt: number;
}

/**
 * Takes the media out and decides about power: on to the installed system, unless the recipe wants it off; a
 * server whose job failed or was canceled stays off, because nobody knows what it would start.
 *
 * That the media's tokens are revoked marks, across a crash, that the server may have been switched on since:
 * from then on it is not switched off again.
 */
export async function cleanUp(context: Cleaning): Promise<Step> {
  const { job, startsDisk, deps } = context;
  const events: NewJobEvent[] = [];
  let isRestarted = true;
  const media = await deps.store.media.forJob(job.id);
  if (!media.every((token) => token.revokedAt !== null)) {
    isRestarted = await attempt("switch the server off", powerOff, context, events);
    await attempt("eject the media", (bmc) => bmc.ejectAll(), context, events);
    await attempt("clear the boot override", (bmc) => bmc.clearBootOverride(), context, events);
    // A start that was under way when the job was canceled shows only after some seconds.
    if (!startsDisk && events.length === 0) {
      await attempt("switch the server off", powerOff, context, events);
    }
    await deps.store.media.revoke(job.id, deps.now());
    if (events.length === 0) events.push(info("The server is off, its media are ejected"));
  }
  if (startsDisk) {
    const isOn = await attempt("switch the server on", (bmc) => bmc.powerOn(), context, events);
    if (isOn && isRestarted) events.push(info("The server is on, to start from its disk"));
    else if (isOn) events.push(warn("The server still runs the maintenance OS: restart it"));
  } else if (events.every(({ level }) => level === "info")) {
    events.push(info("The server stays off"));
  }
  await context.bmc.hangUp();
  return complete(job, events, deps.now());
}

const powerOff = (bmc: Bmc): Promise<void> => bmc.powerOff();

const FIRST_PAUSE_MS = 5000;
const LONGEST_PAUSE_MS = 60_000;
/** For each operation, however much time those before it took from a BMC that hangs. */
const LEAST: Millis = minutes(2);

/**
 * Tries until the deadline as long as trying can help. Whatever goes wrong, in the end there is a warning and
 * the job goes on: one operation that fails must not keep the others from being tried, nor the job from being
 * complete.
 */
async function attempt(
  what: string,
  work: (bmc: Bmc) => Promise<unknown>,
  context: Cleaning,
  events: NewJobEvent[],
): Promise<boolean> {
  const { deps, giveUpAt, bmc, signal, job } = context;
  const over = new AbortController();
  const left = millis(Math.max(LEAST, giveUpAt - deps.now()));
  const inTime = AbortSignal.any([signal, cutOff("the BMC", left, over.signal, deps)]);
  try {
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        await bmc.use(inTime, (b) => work(b));
        return true;
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof ProvError && error.code === "LEASE_LOST") throw error;
        const reason = describeError(error);
        if (!isWorthAnother(error) || deps.now() + pause >= giveUpAt) {
          deps.log.warn({ job_id: job.id, err: error }, "cleanup gave up");
          events.push(warn(`Cleanup could not ${what}: ${reason}`));
          return false;
        }
        deps.log.warn({ job_id: job.id, reason }, "cleanup will be tried again");
        await deps.sleep(millis(pause), signal);
      }
    }
  } finally {
    over.abort();
  }
}

const isWorthAnother = (error: unknown): boolean => error instanceof ProvError && error.retryable;

export function complete(job: Job, events: readonly NewJobEvent[], now: number): Step {
  const untouched = job.bmcTouched ? "" : "; the server was not touched";
  const took = formatDuration(now - job.createdAt);
  return {
    transition: { kind: "cleaned-up" },
    change: { events: [...events, info(`Complete: ${job.outcome} after ${took}${untouched}`)] },
  };
}
