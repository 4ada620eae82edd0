// SPDX-License-Identifier: AGPL-3.0-or-later
import { formatDuration, type Millis, millis } from "../../base/units.ts";
import type { Job } from "../../jobs/job.ts";
import type { Lease } from "../../store/store.ts";
import type { ControllerConfig } from "../config.ts";
import type { ControllerDeps } from "../ports.ts";

/** Why a phase is ended from outside. */
export class Interrupt extends Error {
  readonly kind: "stopped" | "lease-lost" | "moved" | "deadline";

  constructor(kind: Interrupt["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Renews the lease while a job is driven. The signal aborts when that failed: somebody else may have the job. */
export function keepLease(
  lease: Lease,
  ended: AbortSignal,
  config: ControllerConfig,
  deps: ControllerDeps,
): AbortSignal {
  const lost = new AbortController();
  const give = (why: string) => lost.abort(new Interrupt("lease-lost", why));
  const renew = async () => {
    for (;;) {
      await deps.sleep(millis(config.leaseTtlMs / 3), ended);
      if (await deps.store.jobs.heartbeat(lease, deps.now(), config.leaseTtlMs)) continue;
      give("Another worker has the job");
      return;
    }
  };
  renew().catch((error: unknown) => {
    if (ended.aborted) return;
    deps.log.error({ job_id: lease.jobId, err: error }, "lease not renewed");
    give("The lease could not be renewed");
  });
  return lost.signal;
}

/**
 * Aborts when a piece of work has used up its time.
 * @param what completes "Gave up on".
 */
export function cutOff(
  what: string,
  after: Millis,
  over: AbortSignal,
  deps: ControllerDeps,
): AbortSignal {
  const cut = new AbortController();
  deps.sleep(after, over).then(
    () => cut.abort(new Interrupt("deadline", `Gave up on ${what} after ${formatDuration(after)}`)),
    () => {},
  );
  return cut.signal;
}

/** Aborts when the job is reported, canceled or otherwise moved on while its phase is being worked on. */
export function watchState(job: Job, over: AbortSignal, deps: ControllerDeps): AbortSignal {
  const moved = new AbortController();
  const watch = async () => {
    while (!over.aborted) {
      const change = deps.store.jobs.changed(job.id, over);
      const now = await deps.store.jobs.get(job.id);
      if (over.aborted) return;
      if (now?.status !== job.status) {
        moved.abort(new Interrupt("moved", "The job was reported or canceled"));
        return;
      }
      await change;
    }
  };
  watch().catch((error: unknown) => {
    if (over.aborted) return;
    deps.log.error({ job_id: job.id, err: error }, "job not watched");
  });
  return moved.signal;
}
