// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Virtual servers on this machine: a Redfish BMC in front of a QEMU machine, or of a simulated
 * host. The BMC (`bmc/`) knows only the {@link Machine} interface, and a machine knows nothing of
 * Redfish, as it is in hardware.
 */
import { randomBytes } from "node:crypto";
import type { Clock, Fetch, Log, Sleep } from "../base/deps.ts";
import { ProvError } from "../base/errors.ts";
import { createBmc } from "./bmc/bmc.ts";
import { type Faults, noFaults } from "./bmc/faults.ts";
import { type Certificate, listen, makeCertificate } from "./bmc/listen.ts";
import { PERSONALITIES, type PersonalityName } from "./bmc/personality.ts";
import { probeAccelerator } from "./machine/accelerator.ts";
import type { Accelerator, DiskBus, Machine, MachineNetwork } from "./machine/machine.ts";
import { createQemuMachine } from "./machine/qemu-machine.ts";
import {
  createSimulatedMachine,
  type SimulatedAgent,
  type SimulatedHost,
} from "./machine/simulated-machine.ts";

interface BmcServerSpec {
  /** DMI product serial, and the server's key in prov. */
  readonly serial: string;
  readonly personality: PersonalityName;
  /** 127.0.0.1 if it is not given. */
  readonly bmcHostname?: string;
  /** 0: any free port. */
  readonly bmcPort: number;
  /** `lab` if it is not given. */
  readonly username?: string;
  /** Random if it is not given. */
  readonly password?: string;
  readonly faults?: Partial<Faults>;
}

export interface LabServerSpec extends BmcServerSpec {
  /** Keeps the disk and the NVRAM from one lab to the next. */
  readonly directory: string;
  readonly diskGiB: number;
  readonly memoryMiB: number;
  readonly cpus: number;
  readonly diskBus: DiskBus;
  readonly secureBoot: boolean;
  readonly network: MachineNetwork;
  /** `52:54:00:…` */
  readonly mac: string;
  readonly consoleLog: string;
}

export interface SimulatedServerSpec extends BmcServerSpec {
  readonly agent: SimulatedAgent;
  /** Called when the installed system would start. */
  readonly onDiskBoot?: (host: SimulatedHost) => void;
  /** False: plain HTTP. True if it is not given. */
  readonly tls?: boolean;
}

export interface BmcServer {
  readonly serial: string;
  /** `https://127.0.0.1:8443`, without a path. */
  readonly bmcUrl: string;
  /** SHA-256 of the BMC's certificate (DER), lower-case hex; null without TLS. */
  readonly fingerprint: string | null;
  readonly username: string;
  readonly password: string;
  /** May be changed at any time; see also `PATCH /lab/faults` on the BMC. */
  readonly faults: Faults;
  readonly machine: Machine;
  stop(): Promise<void>;
}

export interface LabServer extends BmcServer {
  readonly consolePath: string;
}

export interface Lab {
  readonly servers: readonly LabServer[];
  readonly accelerator: Accelerator;
  /** Ends all machines and BMCs; disks and logs stay. */
  stop(): Promise<void>;
}

export interface LabDeps {
  /** Reads media. */
  readonly fetch: Fetch;
  readonly now: Clock;
  readonly sleep: Sleep;
  readonly log: Log;
}

/**
 * Starts the BMCs; the machines are off. QEMU processes die with this process, however it ends.
 * @param accelerator probed if it is not given.
 * @throws {ProvError} `CONFIG_INVALID` without firmware or `COMMAND_FAILED` without openssl; nothing
 *   is left running then.
 */
export async function startLab(
  specs: readonly LabServerSpec[],
  deps: LabDeps,
  accelerator?: Accelerator,
): Promise<Lab> {
  const chosen = accelerator ?? (await probeAccelerator(deps.sleep));
  deps.log.info({ accelerator: chosen }, "lab starts");
  const servers: LabServer[] = [];
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    for (const spec of specs) servers.push(await startLabServer(spec, deps, chosen));
  } catch (error) {
    await stop();
    throw error;
  }
  return { servers, accelerator: chosen, stop };
}

async function startLabServer(
  spec: LabServerSpec,
  deps: LabDeps,
  accelerator: Accelerator,
): Promise<LabServer> {
  const { manufacturer, model, slots } = PERSONALITIES[spec.personality];
  const hardware = { ...spec, manufacturer, product: model, drives: slots.length };
  const machine = await createQemuMachine(hardware, { ...deps, accelerator });
  const certificate = await makeCertificate(spec.bmcHostname ?? "127.0.0.1");
  const server = serveBmc(spec, { machine, certificate }, deps);
  return { ...server, consolePath: spec.consoleLog };
}

/** A server without QEMU, for tests of what drives BMCs. @throws {ProvError} as {@link startLab} does */
export async function startSimulatedServer(
  spec: SimulatedServerSpec,
  deps: LabDeps,
): Promise<BmcServer> {
  const drives = PERSONALITIES[spec.personality].slots.length;
  const machine = createSimulatedMachine(drives, {
    fetch: deps.fetch,
    log: deps.log,
    agent: spec.agent,
    ...(spec.onDiskBoot !== undefined && { onDiskBoot: spec.onDiskBoot }),
  });
  const hostname = spec.bmcHostname ?? "127.0.0.1";
  const certificate = spec.tls === false ? null : await makeCertificate(hostname);
  return serveBmc(spec, { machine, certificate }, deps);
}

interface Hardware {
  readonly machine: Machine;
  readonly certificate: Certificate | null;
}

function serveBmc(
  spec: BmcServerSpec,
  { machine, certificate }: Hardware,
  deps: LabDeps,
): BmcServer {
  const hostname = spec.bmcHostname ?? "127.0.0.1";
  const username = spec.username ?? "lab";
  const password = spec.password ?? randomBytes(9).toString("base64url");
  const faults: Faults = { ...noFaults(), ...spec.faults };
  const { serial, personality } = spec;
  const app = createBmc(machine, { serial, personality, username, password, faults }, deps);
  try {
    const listener = listen(app, { hostname, port: spec.bmcPort, certificate });
    return {
      serial,
      bmcUrl: listener.url,
      fingerprint: certificate?.fingerprint ?? null,
      username,
      password,
      faults,
      machine,
      stop: async () => {
        await Promise.all([machine.stop(), listener.stop()]);
      },
    };
  } catch (error) {
    throw new ProvError(`Cannot serve the BMC of ${serial} on ${hostname}:${spec.bmcPort}`, {
      code: "CONFIG_INVALID",
      cause: error,
      hint: "Choose a port that is free, or 0 for any.",
    });
  }
}
