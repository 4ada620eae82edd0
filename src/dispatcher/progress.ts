// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Progress on its way to the controller: best effort, in batches, never in the way of the step.
 */
import { describeError, ProvError } from "../base/errors.ts";
import { millis, seconds } from "../base/units.ts";
import type { Envelope } from "../jobs/envelope.ts";
import type { ProgressEvent } from "../webhook/report.ts";
import { type ClientDeps, postToController } from "./controller-client.ts";

export interface Progress {
  send(event: ProgressEvent): void;
  /** Sends what is left, waiting no longer than a few seconds. */
  close(): Promise<void>;
}

const INTERVAL = seconds(1);
const LAST_WORDS = seconds(5);
/** What a controller that is away for long need not hear any more. */
const MAX_QUEUED = 200;

export function startProgress(envelope: Envelope, deps: ClientDeps): Progress {
  let queue: ProgressEvent[] = [];
  /** The one that answered last comes first: another may take its whole time-out at every attempt. */
  let urls = envelope.controller_urls;
  const closing = new AbortController();

  async function flush(): Promise<void> {
    if (queue.length === 0) return;
    const events = queue;
    queue = [];
    const path = `/api/v1/jobs/${envelope.job_id}/progress`;
    try {
      const known = { ...envelope, controller_urls: urls };
      const answered = await postToController(
        known,
        path,
        { events },
        { patience: millis(0) },
        deps,
      );
      urls = [answered, ...urls.filter((url) => url !== answered)];
    } catch (error) {
      deps.log.debug({ error: describeError(error) }, "progress not delivered");
      // What a controller has refused it would refuse again, with all that comes after.
      if (error instanceof ProvError && error.code === "FORBIDDEN") return;
      queue = [...events.filter((event) => event.type !== "bytes"), ...queue].slice(-MAX_QUEUED);
    }
  }

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      await flush();
      await deps.sleep(INTERVAL, closing.signal).catch(() => {});
    }
    await flush();
  }
  const running = run();

  return {
    send(event) {
      // Of bytes only the latest count matters.
      const isNewer = (old: ProgressEvent) => event.type === "bytes" && old.type === "bytes";
      queue = [...queue.filter((old) => !isNewer(old)), event].slice(-MAX_QUEUED);
    },
    async close() {
      closing.abort();
      // A timer that is left over would keep the process, and with it the next step, waiting.
      const over = new AbortController();
      const last = deps.sleep(LAST_WORDS, over.signal).catch(() => {});
      await Promise.race([running, last]);
      over.abort();
    },
  };
}
