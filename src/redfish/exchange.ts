// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Fetch } from "../base/deps.ts";
import { isDistrust } from "../base/distrust.ts";
import { ProvError } from "../base/errors.ts";
import type { JsonObject } from "../base/json.ts";
import { type Millis, seconds } from "../base/units.ts";
import { type Answer, readAnswer } from "./answer.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Path and query on the BMC. */
  readonly path: string;
  readonly body?: JsonObject;
  readonly headers?: Readonly<Record<string, string>>;
  /** Until the answer is read to its end; the exchange's own timeout when not given. */
  readonly timeout?: Millis;
}

/** One HTTP request and its answer, whatever its status. */
export type Exchange = (request: HttpRequest, signal: AbortSignal) => Promise<Answer>;

/** BMCs are slow: 30 s for one answer is not unusual. */
const REQUEST_TIMEOUT = seconds(30);

const MOST_REDIRECTS = 3;

/**
 * The path of a link as the BMC wrote it. Its host, if it names one, is ignored: BMCs behind NAT or with
 * a wrong clock of their own name write links to hosts we cannot reach, and credentials go to one host only.
 */
export function pathOf(link: string, base = "/"): string {
  const { pathname, search } = new URL(link, new URL(base, "http://bmc.invalid"));
  return pathname + search;
}

/**
 * @throws {ProvError} by the returned function: `BMC_UNREACHABLE` when there is no answer, `BMC_UNTRUSTED`
 * when the certificate is not trusted. The signal's reason when `signal` aborts.
 */
export function openExchange(url: string, fetch: Fetch, timeout = REQUEST_TIMEOUT): Exchange {
  const { origin } = new URL(url);
  return async (request, signal) => {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(request.timeout ?? timeout)]);
    try {
      return await follow(origin, fetch, request, deadline);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ProvError) throw error;
      throw noAnswer(request, origin, error);
    }
  };
}

async function follow(
  origin: string,
  fetch: Fetch,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<Answer> {
  let path = request.path;
  for (let redirects = 0; ; redirects++) {
    const answer = await readAnswer(await fetch(origin + path, toInit(request, signal)));
    const location = answer.headers.get("location");
    const moved = [301, 302, 307, 308].includes(answer.status) && location !== null;
    if (!moved || request.method !== "GET" || redirects === MOST_REDIRECTS) return answer;
    path = pathOf(location, path);
  }
}

function toInit(request: HttpRequest, signal: AbortSignal): BunFetchRequestInit {
  return {
    method: request.method,
    signal,
    // Many BMCs drop idle connections without a word, which loses the next request's answer, and
    // all have few to give.
    keepalive: false,
    redirect: "manual",
    headers: {
      accept: "application/json",
      "odata-version": "4.0",
      connection: "close",
      ...(request.body !== undefined && { "content-type": "application/json" }),
      ...request.headers,
    },
    ...(request.body !== undefined && { body: JSON.stringify(request.body) }),
  };
}

function noAnswer(request: HttpRequest, origin: string, cause: unknown): ProvError {
  const trying = `Cannot ${request.method} ${request.path} on the BMC at ${origin}`;
  const isPinned = cause instanceof ProvError && cause.code === "BMC_UNTRUSTED";
  if (isPinned || isDistrust(cause)) {
    return new ProvError(`${trying}: its certificate is not trusted`, {
      code: "BMC_UNTRUSTED",
      cause,
      hint: "Pin the BMC's certificate by its fingerprint, or install one that a known CA signed.",
    });
  }
  return new ProvError(`${trying}: no answer`, {
    code: "BMC_UNREACHABLE",
    cause,
    hint: "Check the BMC's address, its network and that Redfish is enabled on it.",
  });
}
