// SPDX-License-Identifier: AGPL-3.0-or-later
import { describeError, ProvError } from "../../base/errors.ts";
import type { KeyedLock } from "../../base/keyed-lock.ts";
import type { Server } from "../../jobs/job.ts";
import type { Bmc } from "../../redfish/bmc.ts";
import type { Capabilities } from "../../redfish/capabilities.ts";
import type { Lease } from "../../store/store.ts";
import type { ControllerConfig } from "../config.ts";
import type { ControllerDeps } from "../ports.ts";

/** A job's connection to its server's BMC: opened when it is needed, and only while the job is ours. */
export interface BmcLine {
  /**
   * Talks to the BMC, alone with it, after making sure that the lease still holds.
   * @throws {ProvError} `LEASE_LOST`, and what the redfish room throws.
   */
  use<T>(
    signal: AbortSignal,
    work: (bmc: Bmc, capabilities: Capabilities) => Promise<T>,
  ): Promise<T>;
  /** Ends the session; the next use opens a new one. */
  hangUp(): Promise<void>;
}

interface Open {
  readonly bmc: Bmc;
  readonly capabilities: Capabilities;
  readonly end: AbortController;
}

export interface BmcLineParts {
  readonly server: Server;
  readonly lease: Lease;
  readonly lock: KeyedLock;
  readonly config: ControllerConfig;
  readonly deps: ControllerDeps;
}

export function createBmcLine(parts: BmcLineParts): BmcLine {
  const { server, lease, lock, config, deps } = parts;
  let open: Open | undefined;
  /** Credentials that were refused are not tried again: BMCs lock accounts. */
  let refused: ProvError | undefined;

  async function requireLease(): Promise<void> {
    if (await deps.store.jobs.heartbeat(lease, deps.now(), config.leaseTtlMs)) return;
    throw new ProvError(`Cannot go on with job ${lease.jobId}: another worker has it`, {
      code: "LEASE_LOST",
    });
  }

  async function dial(end: AbortController): Promise<Open> {
    const bmc = deps.openBmc(server.bmc, end.signal);
    try {
      const capabilities = await bmc.probe(server.serial);
      await deps.store.servers.setCapabilities(server.serial, capabilities, deps.now());
      return { bmc, capabilities, end };
    } catch (error) {
      await closeQuietly(bmc);
      if (error instanceof ProvError && error.code === "BMC_UNAUTHORIZED") refused = error;
      throw error;
    }
  }

  async function closeQuietly(bmc: Bmc): Promise<void> {
    try {
      await bmc.close();
    } catch (error) {
      // A session that cannot be deleted runs out by itself.
      deps.log.warn(
        { job_id: lease.jobId, server_serial: server.serial, reason: describeError(error) },
        "BMC session not closed",
      );
    }
  }

  async function hangUp(): Promise<void> {
    const last = open;
    open = undefined;
    if (last !== undefined) await closeQuietly(last.bmc);
  }

  return {
    hangUp,
    use(signal, work) {
      const turn = async () => {
        await requireLease();
        if (refused !== undefined) throw refused;
        const end = open?.end ?? new AbortController();
        const abort = () => end.abort(signal.reason);
        signal.addEventListener("abort", abort, { once: true });
        try {
          open ??= await dial(end);
          return await work(open.bmc, open.capabilities);
        } finally {
          signal.removeEventListener("abort", abort);
          if (end.signal.aborted) await hangUp();
        }
      };
      return lock.run(server.bmc.url, turn, signal);
    },
  };
}
