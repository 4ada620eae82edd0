// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Log } from "../base/deps.ts";
import { ProvError } from "../base/errors.ts";
import { isObject, type JsonObject, stringAt } from "../base/json.ts";
import type { Millis } from "../base/units.ts";
import { type Answer, describeAnswer, isOk } from "./answer.ts";
import { etagLadder } from "./etag.ts";
import type { Exchange, HttpRequest } from "./exchange.ts";
import { pathOf } from "./exchange.ts";
import { backoff, retryAfter } from "./retry.ts";
import type { Session } from "./session.ts";
import { followTask } from "./task.ts";
import type { WaitDeps } from "./wait.ts";

export interface ConnectionDeps extends WaitDeps {
  readonly log: Log;
  /** Uniform in [0, 1): spreads retries. */
  readonly random: () => number;
}

/** A Redfish resource as it was read. */
export interface Resource {
  readonly path: string;
  readonly body: JsonObject;
  readonly etag: string | null;
  /** Methods of the `Allow` header, upper case; empty when the BMC sent none. */
  readonly allow: readonly string[];
}

/** A change to make: one POST or PATCH. */
export interface Change {
  readonly method: "POST" | "PATCH";
  readonly path: string;
  readonly body?: JsonObject;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeout?: Millis;
}

const GET_TRIES = 5;

/** 409: some BMCs lock a resource they are changing against readers too. */
const PASSING = [409, 429, 500, 502, 503, 504];

/** Authenticated requests to one BMC: reads that are repeated and changes that never are. */
export class Connection {
  readonly #exchange: Exchange;
  readonly #session: Session;
  readonly #deps: ConnectionDeps;

  constructor(exchange: Exchange, session: Session, deps: ConnectionDeps) {
    this.#exchange = exchange;
    this.#session = session;
    this.#deps = deps;
  }

  /**
   * GETs a path, up to five times while the BMC does not answer or says that it is busy.
   * The last answer is returned whatever its status.
   *
   * @throws {ProvError} `BMC_UNREACHABLE`, `BMC_UNAUTHORIZED`, `BMC_UNTRUSTED`
   */
  async read(path: string): Promise<Answer> {
    for (let attempt = 0; ; attempt++) {
      const last = attempt === GET_TRIES - 1;
      const answer = await this.#tryRead(path, last);
      if (answer !== undefined && (last || !PASSING.includes(answer.status))) return answer;
      const wait =
        retryAfter(answer?.headers.get("retry-after") ?? null, this.#deps.now()) ??
        backoff(attempt, this.#deps.random);
      this.#deps.log.debug({ path, status: answer?.status, wait }, "reading again");
      await this.#deps.sleep(wait, this.#deps.signal);
    }
  }

  /**
   * GETs a resource by its link.
   *
   * @throws {ProvError} `BMC_REFUSED` or, for a 5xx, `BMC_UNREACHABLE`, besides those of {@link read}.
   */
  async get(link: string): Promise<Resource> {
    const path = pathOf(link);
    const answer = await this.read(path);
    if (!isOk(answer)) throw refusal(`Cannot read ${path} of the BMC`, answer);
    if (!isObject(answer.body)) {
      throw new ProvError(`Cannot read ${path} of the BMC: it is not a Redfish resource`, {
        code: "BMC_REFUSED",
        cause: describeAnswer(answer),
      });
    }
    const allow = answer.headers.get("allow") ?? "";
    return {
      path,
      body: answer.body,
      etag: answer.headers.get("etag") ?? stringAt(answer.body, "@odata.etag") ?? null,
      allow: allow.toUpperCase().split(/\s*,\s*/),
    };
  }

  /**
   * Makes one change, once, and follows its Task if it has one. The answer is returned whatever its status.
   *
   * @throws {ProvError} `BMC_UNREACHABLE` when the answer is lost. The change may then have been made or
   * not: read the state before trying again.
   */
  async send(change: Change): Promise<Answer> {
    const answer = await this.#authorized(change);
    this.#deps.log.debug(
      { method: change.method, path: change.path, status: answer.status },
      "change sent",
    );
    if (answer.status !== 202) return answer;
    return await followTask(answer, (path) => this.read(path), this.#deps);
  }

  /** PATCHes a resource on the condition that it is still the one that was read, as far as the BMC can tell. */
  async patch(resource: Resource, body: JsonObject, timeout?: Millis): Promise<Answer> {
    const change: Change = {
      method: "PATCH",
      path: resource.path,
      body,
      ...(timeout !== undefined && { timeout }),
    };
    for (const etag of etagLadder(resource.etag)) {
      const answer = await this.send({ ...change, headers: { "if-match": etag } });
      if (answer.status !== 412) return answer;
    }
    return this.send(change);
  }

  /** Logs out. */
  close(): Promise<void> {
    return this.#session.close();
  }

  async #tryRead(path: string, last: boolean): Promise<Answer | undefined> {
    try {
      return await this.#authorized({ method: "GET", path });
    } catch (error) {
      if (last || !isLost(error)) throw error;
      return undefined;
    }
  }

  async #authorized(request: HttpRequest): Promise<Answer> {
    const { signal } = this.#deps;
    const first = await this.#session.headers(signal);
    const answer = await this.#with(first, request);
    if (answer.status !== 401) return answer;
    // Nothing was done: a 401 is decided before the request is looked at.
    const second = await this.#session.renew(first, signal);
    const again = await this.#with(second, request);
    if (again.status === 401) throw this.#session.reject(again);
    return again;
  }

  #with(auth: Readonly<Record<string, string>>, request: HttpRequest): Promise<Answer> {
    return this.#exchange(
      { ...request, headers: { ...request.headers, ...auth } },
      this.#deps.signal,
    );
  }
}

/** True when a request may or may not have reached the BMC. */
export const isLost = (error: unknown): error is ProvError =>
  error instanceof ProvError && error.code === "BMC_UNREACHABLE";

/**
 * What to throw for an answer that is no success.
 *
 * @param about `hide` are texts the BMC may quote and nobody may read.
 */
export function refusal(
  trying: string,
  answer: Answer,
  about: { readonly hint?: string; readonly hide?: readonly string[] } = {},
): ProvError {
  return new ProvError(trying, {
    code: answer.status >= 500 ? "BMC_UNREACHABLE" : "BMC_REFUSED",
    cause: describeAnswer(answer, about.hide),
    ...(about.hint !== undefined && { hint: about.hint }),
  });
}
