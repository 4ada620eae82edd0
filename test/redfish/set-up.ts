// SPDX-License-Identifier: AGPL-3.0-or-later
import { type Log, type LogFields, silentLog } from "../../src/base/deps.ts";
import type { Millis } from "../../src/base/units.ts";
import { type Bmc, type BmcAddress, type BmcDeps, openBmc } from "../../src/redfish/bmc.ts";
import { FakeBmc, PASSWORD, USER } from "./fake-bmc.ts";
import { type Personality, personality } from "./personalities.ts";

export interface Bench {
  readonly fake: FakeBmc;
  readonly bmc: Bmc;
  readonly clock: { now: number };
  /** Every virtual sleep, in ms. */
  readonly slept: number[];
  readonly logged: string[];
  readonly deps: BmcDeps;
}

/** A client and a fake BMC on one virtual clock: sleeping takes no time and moves both. */
export function setUp(
  of: Personality | string = "iDRAC9 6.x",
  change: { readonly address?: Partial<BmcAddress>; readonly deps?: Partial<BmcDeps> } = {},
): Bench {
  const clock = { now: Date.UTC(2026, 0, 1) };
  const slept: number[] = [];
  const logged: string[] = [];
  const fake = new FakeBmc(typeof of === "string" ? personality(of) : of, () => clock.now);
  const address: BmcAddress = {
    url: "https://bmc.test",
    username: USER,
    password: PASSWORD,
    tls: { mode: "verify" },
    ...change.address,
  };
  const deps: BmcDeps = {
    fetch: fake.fetch,
    now: () => clock.now,
    sleep: (ms: Millis, signal?: AbortSignal) => {
      if (signal?.aborted) return Promise.reject(signal.reason);
      slept.push(ms);
      clock.now += ms;
      return Promise.resolve();
    },
    log: recordingLog(logged),
    signal: new AbortController().signal,
    random: () => 0,
    ...change.deps,
  };
  return { fake, bmc: openBmc(address, deps), clock, slept, logged, deps };
}

function recordingLog(lines: string[]): Log {
  const write = (fields: LogFields, message: string) => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  return { ...silentLog, debug: write, info: write, warn: write, error: write };
}
