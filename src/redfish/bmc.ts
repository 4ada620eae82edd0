// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The Redfish client: what prov asks of a BMC, in the domain's words.
 *
 * Everything is found by links from the service root. Reads are repeated, changes never blindly: after a
 * doubtful answer the state is read. What BMCs do differently and do not tell is one table, quirks.ts.
 */
import type { Clock, Fetch, Log, Sleep } from "../base/deps.ts";
import { ProvError } from "../base/errors.ts";
import type { Millis } from "../base/units.ts";
import { bootOnceFromCd, clearBootOverride } from "./boot.ts";
import type { Capabilities, MediaSlot } from "./capabilities.ts";
import { Connection, type ConnectionDeps } from "./connection.ts";
import { type Discovery, discover } from "./discover.ts";
import { ejectTrees } from "./eject.ts";
import { openExchange } from "./exchange.ts";
import { insertMedium } from "./insert.ts";
import { type PowerState, readPowerState, setPower } from "./power.ts";
import { Session } from "./session.ts";
import { type BmcTls, trustingFetch } from "./tls.ts";

export interface BmcAddress {
  /** Service root without its path: `https://10.0.0.7`. */
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly tls: BmcTls;
}

export interface BmcDeps {
  readonly fetch: Fetch;
  readonly now: Clock;
  readonly sleep: Sleep;
  readonly log: Log;
  /** Ends whatever is under way; every method then rejects with its reason. `close` still works. */
  readonly signal: AbortSignal;
  /** Uniform in [0, 1), to spread retries; `Math.random` when not given. */
  readonly random?: () => number;
  /** For one HTTP answer; 30 s when not given. Inserts may take three minutes. */
  readonly requestTimeout?: Millis;
  /** Reads the certificate a BMC shows, for the record of a probe: {@link import("./tls.ts").readFingerprint}. */
  readonly readFingerprint?: (url: string, signal: AbortSignal) => Promise<string>;
}

/**
 * One BMC and the server behind it. Changes are made one at a time, in the order they were asked for.
 *
 * All methods throw {@link ProvError}: `BMC_UNREACHABLE` (no answer, or a 5xx), `BMC_UNAUTHORIZED` (never
 * retried: BMCs lock accounts), `BMC_UNTRUSTED` (certificate), `BMC_REFUSED`, `BMC_UNSUPPORTED` and
 * `BMC_TIMED_OUT`. Without a probe before it, a method works on the BMC's only server.
 */
export interface Bmc {
  /**
   * Finds the server with this DMI product serial and learns what its BMC can do. Changes nothing.
   *
   * @throws {ProvError} also `SERVER_MISMATCH`; `BMC_UNSUPPORTED` when there is no usable virtual CD.
   */
  probe(serial: string): Promise<Capabilities>;
  powerState(): Promise<PowerState>;
  /** Returns when the server is off; at once if it is. `timeout` is five minutes when not given. */
  powerOff(timeout?: Millis): Promise<void>;
  powerOn(timeout?: Millis): Promise<void>;
  /** Empties every usable slot and returns, when all are out, how many media there were. */
  ejectAll(): Promise<number>;
  /** Inserts an image and returns when the slot shows it. */
  insert(slot: MediaSlot, url: string): Promise<void>;
  /** The next boot, and only that one, comes from the virtual CD in UEFI mode. */
  bootOnceFromCd(): Promise<void>;
  clearBootOverride(): Promise<void>;
  /** Deletes the session after the change under way. The object can still be used. */
  close(): Promise<void>;
}

/** Prepares to speak to a BMC; nothing is sent yet. @throws {ProvError} `CONFIG_INVALID` */
export function openBmc(address: BmcAddress, deps: BmcDeps): Bmc {
  return new RedfishBmc(address, deps);
}

class RedfishBmc implements Bmc {
  readonly #address: BmcAddress;
  readonly #deps: BmcDeps & ConnectionDeps;
  readonly #connection: Connection;
  #discovery: Promise<Discovery> | undefined;
  #changes: Promise<unknown> = Promise.resolve();

  constructor(address: BmcAddress, deps: BmcDeps) {
    this.#address = address;
    this.#deps = { random: Math.random, ...deps };
    const fetch = trustingFetch(address.url, address.tls, deps.fetch);
    const exchange = openExchange(address.url, fetch, deps.requestTimeout);
    const session = new Session(address, exchange, deps.log);
    this.#connection = new Connection(exchange, session, this.#deps);
  }

  async probe(serial: string): Promise<Capabilities> {
    const discovery = await this.#discover(serial);
    const { capabilities, trees } = discovery;
    if (capabilities.delivery === null) {
      throw new ProvError(
        `Cannot use virtual media of the BMC at ${this.#address.url}: ${trees.looked.join("; ")}`,
        {
          code: "BMC_UNSUPPORTED",
          hint: "Check the BMC's firmware version and that its licence covers virtual media.",
        },
      );
    }
    return { ...capabilities, tlsFingerprint: await this.#fingerprint() };
  }

  async powerState(): Promise<PowerState> {
    return readPowerState(this.#connection, await this.#systemPath());
  }

  powerOff(timeout?: Millis): Promise<void> {
    return this.#power("Off", timeout);
  }

  powerOn(timeout?: Millis): Promise<void> {
    return this.#power("On", timeout);
  }

  ejectAll(): Promise<number> {
    return this.#change(({ trees, quirks }) =>
      ejectTrees({ connection: this.#connection, deps: this.#deps, quirks }, trees),
    );
  }

  insert(slot: MediaSlot, url: string): Promise<void> {
    return this.#change(({ quirks }) =>
      insertMedium({ connection: this.#connection, deps: this.#deps, quirks }, slot, url),
    );
  }

  bootOnceFromCd(): Promise<void> {
    return this.#change((found) => bootOnceFromCd(this.#bootContext(found)));
  }

  clearBootOverride(): Promise<void> {
    return this.#change((found) => clearBootOverride(this.#bootContext(found)));
  }

  close(): Promise<void> {
    return this.#inTurn(() => this.#connection.close());
  }

  #bootContext({ quirks, system }: Discovery) {
    const systemPath = system.path;
    return { connection: this.#connection, deps: this.#deps, quirks, systemPath };
  }

  #power(target: "On" | "Off", timeout: Millis | undefined): Promise<void> {
    return this.#change(({ system }) =>
      setPower(this.#connection, this.#deps, system.path, target, timeout),
    );
  }

  #change<T>(work: (found: Discovery) => Promise<T>): Promise<T> {
    return this.#inTurn(async () => work(await this.#found()));
  }

  /** Runs `work` when all earlier changes have ended, well or not. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#changes.then(work);
    this.#changes = turn.catch(() => undefined);
    return turn;
  }

  async #systemPath(): Promise<string> {
    return (await this.#found()).system.path;
  }

  #found(): Promise<Discovery> {
    return this.#discovery ?? this.#discover(null);
  }

  async #discover(serial: string | null): Promise<Discovery> {
    const discovery = discover(this.#connection, this.#deps, serial);
    this.#discovery = discovery;
    try {
      return await discovery;
    } catch (error) {
      this.#discovery = undefined;
      throw error;
    }
  }

  async #fingerprint(): Promise<string | null> {
    const { url, tls } = this.#address;
    if (tls.mode === "pinned") return tls.fingerprint.replaceAll(":", "").toLowerCase();
    if (!url.startsWith("https:")) return null;
    return (await this.#deps.readFingerprint?.(url, this.#deps.signal)) ?? null;
  }
}
