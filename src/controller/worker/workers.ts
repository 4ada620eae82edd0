// SPDX-License-Identifier: AGPL-3.0-or-later
import { millis, seconds } from "../../base/units.ts";
import { type DriveParts, driveJob } from "./drive.ts";
import { Interrupt } from "./interrupt.ts";

export interface Workers {
  start(): void;
  /** Lets go of all jobs, so that another controller can continue them at once. */
  stop(): Promise<void>;
  /** False once a worker ended that should not have. */
  areAlive(): boolean;
}

/** Leases that run out are not announced, and neither is what another controller left. */
const LOOK_AGAIN = seconds(10);
const AFTER_ERROR = seconds(5);

/** As many loops as jobs may be driven at once; each takes a job, drives it to its end, and takes the next. */
export function createWorkers(parts: DriveParts): Workers {
  const { config, deps, metrics } = parts;
  const stopped = new AbortController();
  const controller = deps.newId().slice(0, 8);
  let running: readonly Promise<void>[] = [];
  let alive = 0;

  async function work(owner: string): Promise<void> {
    alive++;
    try {
      while (!stopped.signal.aborted) await takeOne(owner);
    } finally {
      alive--;
    }
  }

  async function takeOne(owner: string): Promise<void> {
    const turn = new AbortController();
    const signal = AbortSignal.any([stopped.signal, turn.signal]);
    try {
      // Asked before claiming, so that a job that comes in between is not missed.
      const claimable = deps.store.jobs.claimable(signal);
      const claimed = await deps.store.jobs.claim(owner, deps.now(), config.leaseTtlMs);
      if (claimed !== undefined) await driveJob(claimed, stopped.signal, parts);
      else await Promise.race([claimable, deps.sleep(LOOK_AGAIN, signal)]);
    } catch (error) {
      if (stopped.signal.aborted) return;
      // The job of a worker that broke down is taken up again when its lease has run out.
      deps.log.error({ worker_id: owner, err: error }, "worker stumbled");
      await deps.sleep(millis(AFTER_ERROR), stopped.signal).catch(() => undefined);
    } finally {
      turn.abort();
    }
  }

  return {
    start() {
      metrics.set("prov_workers", {}, config.workerConcurrency);
      running = Array.from({ length: config.workerConcurrency }, (_, i) =>
        work(`${controller}-${i + 1}`),
      );
    },
    async stop() {
      stopped.abort(new Interrupt("stopped", "The controller is shutting down"));
      await Promise.all(running);
    },
    areAlive: () => alive === running.length,
  };
}
