// SPDX-License-Identifier: AGPL-3.0-or-later
import { isDistrust } from "../../base/distrust.ts";
import { ProvError } from "../../base/errors.ts";
import { formatDuration, type Millis, millis, minutes, seconds } from "../../base/units.ts";
import { errnoOf } from "../storage/durable.ts";
import type { ClientDeps } from "./remote.ts";

const DEFAULT_PATIENCE: Millis = minutes(15);
const FIRST_PAUSE = millis(500);
const LONGEST_PAUSE = seconds(15);

/** Which way the bytes go. */
export type Verb = "pull" | "push";

/** The registry answered, and asks for patience. */
export class RetryLater extends Error {
  /** 0 when it did not say how long. */
  readonly after: Millis;
  constructor(message: string, after: Millis) {
    super(message);
    this.after = after;
  }
}

/** Counts the time without progress, and the pauses between attempts. */
export interface Patience {
  /** Something moved: the clock starts again. */
  progress(): void;
  /**
   * Waits before the next attempt.
   * @throws the error itself when no repetition helps; {@link ProvError} `REGISTRY_UNREACHABLE`
   *   when the patience is used up, or the registry's certificate is not trusted.
   */
  pause(error: unknown): Promise<void>;
}

export function createPatience(
  deps: ClientDeps,
  verb: Verb,
  name: string,
  signal: AbortSignal | undefined,
): Patience {
  const patience = deps.patience ?? DEFAULT_PATIENCE;
  /** Of the first failure since something moved. */
  let since: number | undefined;
  let wait: number = FIRST_PAUSE;
  return {
    progress() {
      since = undefined;
      wait = FIRST_PAUSE;
    },
    async pause(error) {
      signal?.throwIfAborted();
      if (error instanceof ProvError) throw error;
      // A clock that is yet to be set right makes one valid, and no other fault of it heals.
      const heals = errnoOf(error) === "CERT_NOT_YET_VALID";
      if (isDistrust(error) && !heals) throw distrusted(verb, name, error);
      // A registry that counts requests means what it says, however long that is.
      const pause = millis(Math.max(wait, error instanceof RetryLater ? error.after : 0));
      since ??= deps.now();
      const waited = deps.now() - since;
      if (waited + pause > patience) throw usedUp(verb, name, { waited, pause }, error);
      deps.log.warn({ artifact: name, err: error, pause_ms: pause }, `${verb} interrupted`);
      await deps.sleep(pause, signal);
      wait = Math.min(wait * 2, LONGEST_PAUSE);
    },
  };
}

function distrusted(verb: Verb, name: string, cause: unknown): ProvError {
  return new ProvError(`Cannot ${verb} ${name}: the registry's certificate is not trusted`, {
    code: "REGISTRY_UNREACHABLE",
    cause,
    hint: "Check that the CA given for the registry signed its certificate, that this is for the name in the URL, and that it is valid today.",
  });
}

function usedUp(
  verb: Verb,
  name: string,
  { waited, pause }: { waited: number; pause: Millis },
  cause: unknown,
): ProvError {
  const moved = verb === "pull" ? "nothing came" : "the registry took nothing";
  // Hardly waited, and already too long: then it is the registry that asks for it.
  const why =
    pause > waited && cause instanceof RetryLater
      ? `the registry wants to be asked again in ${formatDuration(pause)}`
      : `${moved} for ${formatDuration(waited)}`;
  return new ProvError(`Cannot ${verb} ${name}: ${why}`, {
    code: "REGISTRY_UNREACHABLE",
    cause,
    hint: "Check that the registry is up and that the network reaches it from here.",
  });
}

/** Repeats `attempt` until it succeeds. @throws as {@link Patience.pause}. */
export async function patiently<T>(patience: Patience, attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      await patience.pause(error);
    }
  }
}
