// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { realSleep } from "../../base/deps.ts";
import type { PersonalityName } from "../../lab/bmc/personality.ts";
import { type LabServer, type LabServerSpec, startLab } from "../../lab/lab.ts";
import type { DiskBus } from "../../lab/machine/machine.ts";
import { createBridge } from "../../lab/network.ts";
import { type Cli, type Command, command } from "../command.ts";
import { journalLog } from "../journal-log.ts";
import { untilStopped } from "../terminal.ts";

interface LabArgs {
  directory: string;
  server: readonly string[];
  personality: PersonalityName;
  secureBoot: boolean;
  diskGib: number;
  diskBus: DiskBus;
  memoryMib: number;
  bridge?: string;
  json?: boolean;
}

/** Interface name of the lab's bridge; one lab at a time has one. */
const BRIDGE = "provlab0";

export function labCommand(cli: Cli): Command {
  return command<LabArgs>({
    command: "lab",
    describe: "virtual servers with Redfish BMCs, to try prov on; runs until it is stopped",
    options: {
      directory: {
        type: "string",
        default: "lab",
        describe: "disks, firmware variables, consoles",
      },
      server: { type: "string", array: true, default: ["LAB-0001"], describe: "serials" },
      personality: {
        choices: ["two-slot", "one-slot"],
        default: "two-slot",
        describe: "kind of BMC",
      },
      "secure-boot": { type: "boolean", default: false },
      "disk-gib": { type: "number", default: 8 },
      "disk-bus": { choices: ["virtio", "nvme", "sata"], default: "virtio" },
      "memory-mib": { type: "number", default: 2560 },
      bridge: {
        type: "string",
        describe:
          "this host's address on a network without DHCP (192.0.2.1/24), in place of NAT; needs root",
      },
    },
    run: (args) => runLab(cli, args),
  });
}

async function runLab(cli: Cli, args: LabArgs): Promise<void> {
  const directory = resolve(args.directory);
  await mkdir(directory, { recursive: true });
  const bridge =
    args.bridge === undefined
      ? undefined
      : await createBridge({ name: BRIDGE, address: args.bridge, taps: args.server.length });
  try {
    const specs = args.server.map((serial, i) => specOf(serial, directory, args, bridge?.taps[i]));
    const log = journalLog(cli.terminal);
    const lab = await startLab(specs, { fetch: cli.fetch, now: Date.now, sleep: realSleep, log });
    try {
      await announce(cli, directory, lab.servers, specs, args.json);
      await untilStopped(cli.terminal.asked);
    } finally {
      await lab.stop();
    }
  } finally {
    await bridge?.remove();
  }
}

function specOf(
  serial: string,
  directory: string,
  args: LabArgs,
  tap: string | undefined,
): LabServerSpec {
  const own = join(directory, serial.replaceAll(/[^A-Za-z0-9._-]/g, "_"));
  return {
    serial,
    personality: args.personality,
    bmcPort: 0,
    directory: own,
    diskGiB: args.diskGib,
    diskBus: args.diskBus,
    memoryMiB: args.memoryMib,
    cpus: 2,
    secureBoot: args.secureBoot,
    network: tap === undefined ? { mode: "user" } : { mode: "tap", interface: tap },
    mac: macOf(serial),
    consoleLog: join(own, "console.log"),
  };
}

/** Always the same for a serial, so that a network configuration by MAC can be written beforehand. */
function macOf(serial: string): string {
  const hex = new Bun.CryptoHasher("sha256").update(serial).digest("hex").slice(0, 6);
  // 52:54:00 is the prefix that QEMU's machines use, locally administered.
  return `52:54:00:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}`;
}

/** Prints how to reach the BMCs, and leaves it in lab.json for programs, readable by us only. */
async function announce(
  cli: Cli,
  directory: string,
  servers: readonly LabServer[],
  specs: readonly LabServerSpec[],
  json: boolean | undefined,
): Promise<void> {
  const document = {
    servers: servers.map((server, i) => ({
      serial: server.serial,
      bmc_url: server.bmcUrl,
      fingerprint: server.fingerprint,
      username: server.username,
      password: server.password,
      console: server.consolePath,
      mac: specs[i]?.mac,
    })),
  };
  const path = join(directory, "lab.json");
  // Not Bun.write: it makes files that everybody can read, whatever mode it is given.
  await writeFile(`${path}.new`, JSON.stringify(document, null, 2), { mode: 0o600 });
  await rename(`${path}.new`, path);
  if (json === true) {
    cli.terminal.out(JSON.stringify(document));
    return;
  }
  for (const server of servers) {
    cli.terminal.out(`${server.serial}  BMC ${server.bmcUrl}  user ${server.username}`);
    cli.terminal.out(`  certificate ${server.fingerprint}`);
    cli.terminal.out(`  console     ${server.consolePath}`);
  }
  cli.terminal.out(`Passwords are in ${path}. Stop with Ctrl-C.`);
}
