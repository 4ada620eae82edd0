// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Log } from "../../src/base/deps.ts";
import type { ClientDeps } from "../../src/dispatcher/controller-client.ts";
import type { ProgressEvent } from "../../src/webhook/report.ts";

export interface Asked {
  readonly url: string;
  readonly headers: Headers;
  readonly body: string;
}

type Answer = (asked: Asked) => Response | Promise<Response> | undefined;

/** The controller as the agent sees it, on a clock that jumps over every wait. */
export class FakeController {
  readonly asked: Asked[] = [];
  readonly logged: string[] = [];
  /** Of every sleep, ms. */
  readonly slept: number[] = [];
  readonly deps: ClientDeps;
  /** Refuses connections, whatever the answer would have been. */
  isAway = false;
  #now = Date.parse("2026-01-01T00:00:00Z");

  /** @param answer undefined: nobody answers. Without it everything is accepted. */
  constructor(answer: Answer = () => new Response(null, { status: 204 })) {
    const log = (fields: unknown, message: string) =>
      void this.logged.push(`${message} ${JSON.stringify(fields)}`);
    const keep: Log = { debug: log, info: log, warn: log, error: log };
    this.deps = {
      log: keep,
      now: () => this.#now,
      sleep: async (ms, signal) => {
        // Others get their turn; time passes for nobody else.
        await new Promise((resolve) => setImmediate(resolve));
        signal?.throwIfAborted();
        this.slept.push(ms);
        this.#now += ms;
      },
      fetch: async (url, init) => {
        const body = typeof init?.body === "string" ? init.body : "";
        const asked = { url, headers: new Headers(init?.headers), body };
        this.asked.push(asked);
        const response = this.isAway ? undefined : await answer(asked);
        if (response === undefined) throw new Error("connection refused");
        return response;
      },
    };
  }

  get elapsed(): number {
    return this.#now - Date.parse("2026-01-01T00:00:00Z");
  }

  /** The progress events that came, in order, without what was sent again. */
  get events(): ProgressEvent[] {
    return this.asked
      .filter(({ url }) => url.endsWith("/progress"))
      .flatMap(({ body }) => JSON.parse(body).events);
  }
}
