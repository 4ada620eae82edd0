// SPDX-License-Identifier: AGPL-3.0-or-later

import type { Outcome, Phase, Status } from "./lifecycle.ts";
import type { NetworkConfig } from "./network.ts";

/** Times are Unix epoch, ms. */
export interface Job {
  readonly id: string;
  readonly serverSerial: string;
  readonly taskTarget: string;
  readonly status: Status;
  readonly phase: Phase | null;
  readonly outcome: Outcome | null;
  /** The unit or controller step that failed first; kept for ever. */
  readonly failedStep: string | null;
  /** Why it failed, for people. */
  readonly error: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** When the present phase was entered; deadlines count from here. */
  readonly phaseSince: number;
  readonly progress: JobProgress | null;
  /** True once a change to the BMC may have been made: from then on a failure needs cleanup. */
  readonly bmcTouched: boolean;
  /** When the agent first spoke to us; null until then. */
  readonly checkedInAt: number | null;
}

export interface JobProgress {
  /** Unit name of the running step, `image-linux.service`. */
  readonly step: string;
  readonly bytesDone: number | null;
  readonly bytesTotal: number | null;
  readonly updatedAt: number;
}

export type EventLevel = "info" | "warn" | "error";

/** One line of a job's history. `seq` grows by one per job, from 1. */
export interface JobEvent {
  readonly seq: number;
  readonly time: number;
  readonly level: EventLevel;
  readonly message: string;
  readonly step: string | null;
}

export type NewJobEvent = Omit<JobEvent, "seq" | "time">;

/** How to trust a BMC's certificate. */
export type BmcTls =
  | { readonly mode: "verify" }
  | {
      readonly mode: "pinned" /** SHA-256 of the DER, lower-case hex. */;
      readonly fingerprint: string;
    }
  | { readonly mode: "insecure" };

/** How the task reaches a server; see DESIGN.md, Media. */
export const DELIVERIES = ["dual", "usb", "combined"] as const;
export type Delivery = (typeof DELIVERIES)[number];

export interface Server {
  readonly serial: string;
  readonly bmc: {
    /** Service root without its path: `https://10.0.0.7`. */
    readonly url: string;
    readonly username: string;
    readonly password: string;
    readonly tls: BmcTls;
  };
  /** null: decided from what the BMC can do. */
  readonly delivery: Delivery | null;
  readonly network: NetworkConfig | null;
  /** What `probe` last learned, as the redfish room wrote it. */
  readonly capabilities: unknown;
  readonly createdAt: number;
  readonly updatedAt: number;
}
