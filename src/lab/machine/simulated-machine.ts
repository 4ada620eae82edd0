// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Fetch, Log } from "../../base/deps.ts";
import { ProvError } from "../../base/errors.ts";
import { findExtent } from "../../media/iso-reader.ts";
import type { ReadRange } from "./block-cache.ts";
import type { BootChoice, Machine, Medium } from "./machine.ts";

/**
 * Stands for the maintenance OS and its agent: called after each boot from CD with the bytes of
 * the task ISO. Nothing happens after it returns, unless it used `host`.
 */
export type SimulatedAgent = (task: Uint8Array, host: SimulatedHost) => Promise<void>;

export interface SimulatedHost {
  /** Aborts when somebody pulls the plug, or the machine resets. */
  readonly signal: AbortSignal;
  powerOff(): void;
  /** Boots again, as the BMC is told to by now. */
  reset(): void;
}

export interface SimulatedMachineDeps {
  readonly fetch: Fetch;
  readonly log: Log;
  readonly agent: SimulatedAgent;
  /** Called when the installed system would start. */
  readonly onDiskBoot?: (host: SimulatedHost) => void;
}

/** What firmware reads of a CD before anything can boot. */
const BOOT_READ = 64 * 1024;

/** Where the maintenance ISO keeps room for the task of a server with one drive. */
const TASK_FILE = "/task.img";

/** Where its directory is: image writers put the directories first. */
const HEAD = 1024 * 1024;

/** A machine without QEMU: it reads its media, then calls the agent. Takes no time of its own. */
export function createSimulatedMachine(drives: number, deps: SimulatedMachineDeps): Machine {
  const media = new Map<number, Medium>();
  let running: AbortController | undefined;

  function off(): void {
    running?.abort(new Error("the machine was powered off"));
    running = undefined;
  }

  function start(nextBoot: () => BootChoice): void {
    off();
    const power = new AbortController();
    running = power;
    const ifCurrent = (act: () => void) => () => {
      if (running === power) act();
    };
    const host: SimulatedHost = {
      signal: power.signal,
      powerOff: ifCurrent(off),
      reset: ifCurrent(() => start(nextBoot)),
    };
    boot(nextBoot(), host).catch((error: unknown) => {
      if (!power.signal.aborted) deps.log.warn({ err: error }, "simulated boot failed");
    });
  }

  async function boot(choice: BootChoice, host: SimulatedHost): Promise<void> {
    const medium = choice === "disk" ? undefined : media.get(choice.drive);
    if (medium === undefined) {
      deps.onDiskBoot?.(host);
      return;
    }
    const read = reader(medium, host.signal, deps.fetch);
    await read(0, Math.min(BOOT_READ, medium.size));
    const other = [...media.values()].find((m) => m !== medium);
    const task =
      other === undefined ? await embeddedTask(read, medium.size) : await whole(other, host.signal);
    await deps.agent(task, host);
  }

  const whole = (medium: Medium, signal: AbortSignal) =>
    reader(medium, signal, deps.fetch)(0, medium.size);

  return {
    drives,
    power: () => (running === undefined ? "Off" : "On"),
    powerOn: (nextBoot) => {
      if (running === undefined) start(nextBoot);
      return Promise.resolve();
    },
    forceOff: () => Promise.resolve(off()),
    pressPowerButton: () => Promise.resolve(off()),
    stop: () => Promise.resolve(off()),
    insert: (drive, medium) => {
      media.set(drive, medium);
      return Promise.resolve();
    },
    eject: (drive) => {
      media.delete(drive);
      return Promise.resolve();
    },
  };
}

/** @throws {ProvError} `MEDIA_INVALID` when a lone medium has no task inside. */
async function embeddedTask(read: ReadRange, size: number): Promise<Uint8Array> {
  const head = await read(0, Math.min(HEAD, size));
  const { offset, size: length } = findExtent((at, n) => head.subarray(at, at + n), TASK_FILE);
  return read(offset, offset + length);
}

function reader(medium: Medium, signal: AbortSignal, fetch: Fetch): ReadRange {
  return async (start, end) => {
    const response = await fetch(medium.url, {
      headers: { Range: `bytes=${start}-${end - 1}` },
      redirect: "manual",
      signal,
      tls: { rejectUnauthorized: false },
    });
    if (response.status !== 206) {
      throw new ProvError(`Cannot read the medium: HTTP ${response.status}`, {
        code: "MEDIA_INVALID",
      });
    }
    return new Uint8Array(await response.arrayBuffer());
  };
}
