// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import { at, stringAt } from "../base/json.ts";
import { type Millis, minutes, seconds } from "../base/units.ts";
import { type Answer, isOk } from "./answer.ts";
import { type Connection, type ConnectionDeps, isLost, refusal } from "./connection.ts";
import { pathOf } from "./exchange.ts";
import { retryAfter } from "./retry.ts";
import { parameterValues } from "./slots.ts";

/** `PowerState` of a ComputerSystem (DSP2046); Unknown when the BMC shows null or another word. */
const POWER_STATES = ["On", "Off", "PoweringOn", "PoweringOff", "Paused"] as const;
export type PowerState = (typeof POWER_STATES)[number] | "Unknown";

const POWER_TIMEOUT = minutes(5);

const POLL = seconds(2);

/** iDRAC10 refuses On for up to a minute after Off. */
const AFTER_REFUSAL = seconds(10);

/** Statuses by which BMCs say "not now"; 400 and 409 also mean "it is so already". */
const NOT_NOW = [400, 409, 429, 500, 502, 503, 504];

/** Ways to each state, best first: the one the BMC lists is taken. */
const RESET_TYPES = {
  On: ["On", "ForceOn", "PushPowerButton"],
  Off: ["ForceOff", "GracefulShutdown", "PushPowerButton"],
} as const;

const MOVING_TO = { On: "PoweringOn", Off: "PoweringOff" } as const;

export async function readPowerState(
  connection: Connection,
  systemPath: string,
): Promise<PowerState> {
  const system = await connection.get(systemPath);
  return POWER_STATES.find((state) => state === system.body.PowerState) ?? "Unknown";
}

/**
 * Brings the server to `target` and returns when the BMC shows it there. The state is read before each
 * request, so none is ever repeated blindly after a lost or doubtful answer.
 *
 * @throws {ProvError} `BMC_TIMED_OUT`, `BMC_REFUSED`
 */
export async function setPower(
  connection: Connection,
  deps: ConnectionDeps,
  systemPath: string,
  target: "On" | "Off",
  timeout: Millis = POWER_TIMEOUT,
): Promise<void> {
  const end = deps.now() + timeout;
  let accepted = false;
  let doubt: ProvError | undefined;
  for (;;) {
    const state = await readPowerState(connection, systemPath);
    if (state === target) return;
    if (deps.now() >= end) throw notReached(target, state, timeout, doubt);
    let wait = POLL;
    if (!accepted && state !== MOVING_TO[target]) {
      const outcome = await requestReset(connection, deps, systemPath, target);
      accepted = outcome === undefined;
      doubt = outcome?.error ?? doubt;
      wait = outcome?.wait ?? POLL;
    }
    await deps.sleep(wait, deps.signal);
  }
}

interface Doubt {
  readonly error: ProvError;
  readonly wait: Millis;
}

/** Sends one reset; undefined when it was accepted, otherwise why that is in doubt. */
async function requestReset(
  connection: Connection,
  deps: ConnectionDeps,
  systemPath: string,
  target: "On" | "Off",
): Promise<Doubt | undefined> {
  const action = at((await connection.get(systemPath)).body, "Actions", "#ComputerSystem.Reset");
  const path = stringAt(action, "target");
  if (path === undefined) {
    throw new ProvError(`Cannot turn ${systemPath} ${target}: it has no Reset action`, {
      code: "BMC_UNSUPPORTED",
      hint: "Check that the BMC user may control power.",
    });
  }
  const allowed = await parameterValues(connection, action, "ResetType");
  const type = RESET_TYPES[target].find((t) => allowed?.includes(t)) ?? RESET_TYPES[target][0];
  let answer: Answer;
  try {
    answer = await connection.send({
      method: "POST",
      path: pathOf(path),
      body: { ResetType: type },
    });
  } catch (error) {
    if (!isLost(error)) throw error;
    return { error, wait: AFTER_REFUSAL };
  }
  if (isOk(answer)) return undefined;
  const error = refusal(`Cannot reset ${systemPath} (${type})`, answer);
  if (!NOT_NOW.includes(answer.status)) throw error;
  return {
    error,
    wait: retryAfter(answer.headers.get("retry-after"), deps.now()) ?? AFTER_REFUSAL,
  };
}

function notReached(
  target: string,
  state: PowerState,
  timeout: Millis,
  cause: ProvError | undefined,
): ProvError {
  return new ProvError(
    `Cannot turn the server ${target}: after ${timeout / 1000} s its power state is ${state}`,
    { code: "BMC_TIMED_OUT", ...(cause && { cause }) },
  );
}
