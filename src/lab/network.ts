// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";

/** A bridge of this host with tap interfaces for virtual servers: one Ethernet segment without DHCP. */
export interface Bridge {
  readonly name: string;
  /** The tap interfaces, ready for `network: {mode: "tap", interface}`. */
  readonly taps: readonly string[];
  /** Removes taps and bridge. */
  remove(): Promise<void>;
}

export interface BridgeOptions {
  /** Interface name, at most 11 characters: the taps are called `<name>-t0`, `<name>-t1`, … */
  readonly name: string;
  /** This host's address on it with its prefix length: `192.0.2.1/24`. */
  readonly address: string;
  readonly taps: number;
}

/** Runs one program; rejects when it fails. */
export type RunProgram = (argv: readonly string[]) => Promise<void>;

/**
 * Needs root (CAP_NET_ADMIN) and /dev/net/tun.
 * @throws {ProvError} `COMMAND_FAILED`; what was made before is removed again.
 */
export async function createBridge(
  options: BridgeOptions,
  run: RunProgram = runIp,
): Promise<Bridge> {
  const { name, address } = options;
  if (!/^[a-zA-Z][\w-]{0,10}$/.test(name)) {
    throw new RangeError(`Cannot name a bridge ${JSON.stringify(name)}`);
  }
  const taps = Array.from({ length: options.taps }, (_, i) => `${name}-t${i}`);
  const made: string[] = [];
  async function remove(): Promise<void> {
    while (made.length > 0) await run(["ip", "link", "delete", "dev", made.pop() ?? ""]);
  }
  try {
    await run(["ip", "link", "add", "name", name, "type", "bridge"]);
    made.push(name);
    await run(["ip", "address", "add", address, "dev", name]);
    await run(["ip", "link", "set", "dev", name, "up"]);
    for (const tap of taps) {
      await run(["ip", "tuntap", "add", "dev", tap, "mode", "tap"]);
      made.push(tap);
      await run(["ip", "link", "set", "dev", tap, "master", name, "up"]);
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return { name, taps, remove };
}

async function runIp(argv: readonly string[]): Promise<void> {
  const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const complaint = await child.stderr.text();
  if ((await child.exited) === 0) return;
  throw new ProvError(`Cannot run ${argv.join(" ")}: ${complaint.trim()}`, {
    code: "COMMAND_FAILED",
    hint: "Run the lab as root to use tap networks; remove interfaces that an earlier lab left behind.",
  });
}
