// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * `GET /api/v1/jobs/{id}/events`: a job's history and state as server-sent events.
 *
 *   id: 7
 *   event: event      one line of the history; the id is its seq, for Last-Event-ID
 *   event: job        the job document without events, whenever it changed
 *   event: end        the job is complete and everything was sent; do not reconnect
 */
import { type Millis, seconds } from "../../base/units.ts";
import type { Job } from "../../jobs/job.ts";
import type { ControllerDeps } from "../ports.ts";
import type { ApiContext } from "./context.ts";
import { toEventDocument, toJobDocument } from "./job-document.ts";

/** Below what proxies cut silent connections after (nginx: 60 s). */
const KEEP_ALIVE: Millis = seconds(20);
const BATCH = 500;

export function streamJob(c: ApiContext, job: Job, deps: ControllerDeps): Response {
  const after = Number(c.req.header("last-event-id") ?? c.req.query("after") ?? 0);
  const gone = new AbortController();
  c.req.raw.signal.addEventListener("abort", () => gone.abort(), { once: true });
  const frames = watchJob(job.id, Number.isInteger(after) ? after : 0, gone.signal, deps);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await frames.next();
      if (next.done) controller.close();
      else controller.enqueue(encoder.encode(next.value));
    },
    cancel() {
      gone.abort();
    },
  });
  return new Response(body, {
    headers: {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    },
  });
}

async function* watchJob(
  id: string,
  after: number,
  signal: AbortSignal,
  deps: ControllerDeps,
): AsyncGenerator<string, void> {
  const { jobs } = deps.store;
  let seen = after;
  let shown = "";
  while (!signal.aborted) {
    const turn = new AbortController();
    const stop = AbortSignal.any([signal, turn.signal]);
    try {
      // Asked before reading, so that a change in between is not missed.
      const change = jobs.changed(id, stop);
      const job = await jobs.get(id);
      const events = await jobs.events(id, seen, BATCH);
      for (const event of events) {
        seen = event.seq;
        yield frame("event", toEventDocument(event), event.seq);
      }
      if (job === undefined) return;
      const document = toJobDocument(job);
      if (JSON.stringify(document) !== shown) {
        shown = JSON.stringify(document);
        yield frame("job", document);
      }
      if (events.length === BATCH) continue;
      if (job.status === "complete") {
        yield frame("end", {});
        return;
      }
      if (await isQuiet(change, stop, deps)) yield ": still here\n\n";
    } finally {
      turn.abort();
    }
  }
}

/** Whether nothing changes for as long as a connection may be silent. */
function isQuiet(change: Promise<void>, stop: AbortSignal, deps: ControllerDeps): Promise<boolean> {
  return Promise.race([
    change.then(() => false),
    deps.sleep(KEEP_ALIVE, stop).then(
      () => true,
      () => false,
    ),
  ]);
}

function frame(event: string, data: unknown, id?: number): string {
  const idLine = id === undefined ? "" : `id: ${id}\n`;
  return `${idLine}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
