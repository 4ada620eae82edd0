// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * How the agent reaches the controller: any of the envelope's URLs, with the job's token.
 */
import type { Clock, Fetch, Log, Sleep } from "../base/deps.ts";
import { ProvError } from "../base/errors.ts";
import { type Millis, millis, seconds } from "../base/units.ts";
import type { Envelope } from "../jobs/envelope.ts";

export interface ClientDeps {
  readonly fetch: Fetch;
  readonly now: Clock;
  readonly sleep: Sleep;
  readonly log: Log;
}

const ATTEMPT_TIMEOUT = seconds(15);
const FIRST_PAUSE = seconds(1);
const LONGEST_PAUSE = seconds(15);

/**
 * POSTs JSON until a controller accepts it. Connection failures, 5xx and 429 are tried again, with
 * growing pauses, over all URLs of the envelope. Any other answer is final if all URLs give one: a private
 * address may belong to somebody else where the server is.
 *
 * @param patience how long to go on after the first failure.
 * @returns the URL that accepted it.
 * @throws {ProvError} `CONTROLLER_UNREACHABLE` when patience ran out, `FORBIDDEN` for a final refusal.
 */
export async function postToController(
  envelope: Envelope,
  path: string,
  body: unknown,
  options: { readonly patience: Millis; readonly signal?: AbortSignal },
  deps: ClientDeps,
): Promise<string> {
  const giveUpAt = deps.now() + options.patience;
  let pause: number = FIRST_PAUSE;
  for (;;) {
    const { accepted, failures } = await attemptAll(path, body, envelope, deps);
    if (accepted !== undefined) return accepted;
    if (deps.now() + pause > giveUpAt) {
      throw new ProvError(`Cannot reach the controller at ${path}`, {
        code: "CONTROLLER_UNREACHABLE",
        cause: failures.join("; "),
        hint: "Check the server's network configuration and that the controller's address is reachable from it.",
      });
    }
    deps.log.warn({ path, failures }, "controller not reached, trying again");
    await deps.sleep(millis(pause), options.signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

/**
 * Tries every URL until one accepts.
 *
 * @returns the one that has, or why it should be tried again.
 * @throws {ProvError} `FORBIDDEN` when all have refused.
 */
async function attemptAll(
  path: string,
  body: unknown,
  envelope: Envelope,
  deps: ClientDeps,
): Promise<{ accepted?: string; failures: string[] }> {
  const failures: (string | ProvError)[] = [];
  for (const base of envelope.controller_urls) {
    const failure = await attempt(`${base}${path}`, body, envelope, deps);
    if (failure === undefined) return { accepted: base, failures: [] };
    failures.push(failure instanceof ProvError ? failure : `${base}: ${failure}`);
  }
  const [first] = failures;
  if (first instanceof ProvError && failures.every((f) => f instanceof ProvError)) throw first;
  return { failures: failures.map((f) => (f instanceof ProvError ? f.message : f)) };
}

/** @returns undefined when it was accepted, a text when it should be tried again, an error when it was refused. */
async function attempt(
  url: string,
  body: unknown,
  envelope: Envelope,
  deps: ClientDeps,
): Promise<string | ProvError | undefined> {
  let response: Response;
  try {
    response = await deps.fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", "x-webhook-secret": envelope.token },
      body: JSON.stringify(body),
      redirect: "error",
      signal: AbortSignal.timeout(ATTEMPT_TIMEOUT),
      ...(envelope.ca_certificate !== null && { tls: { ca: envelope.ca_certificate } }),
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const text = await response.text().catch(() => "");
  if (response.ok) return undefined;
  if (response.status >= 500 || response.status === 429) return `HTTP ${response.status}`;
  return new ProvError(`Cannot report to ${url}: HTTP ${response.status}`, {
    code: "FORBIDDEN",
    cause: text.slice(0, 300),
  });
}
