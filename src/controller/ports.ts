// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock, Log, Sleep } from "../base/deps.ts";
import type { Bmc, BmcAddress } from "../redfish/bmc.ts";
import type { Registry } from "../registry/registry.ts";
import type { Store } from "../store/store.ts";

/** Prepares to speak to a BMC. The signal ends whatever is under way; `close` still works then. */
type OpenBmc = (address: BmcAddress, signal: AbortSignal) => Bmc;

/** The world outside the controller. */
export interface ControllerDeps {
  readonly store: Store;
  readonly openBmc: OpenBmc;
  readonly registry: Omit<Registry, "close">;
  readonly log: Log;
  readonly now: Clock;
  readonly sleep: Sleep;
  /** A UUID. */
  readonly newId: () => string;
  /** 256 unguessable bits, base64url. */
  readonly newSecret: () => string;
  /** For /about and metrics. */
  readonly build: {
    readonly version: string;
    readonly commit: string;
    /** Where users get this version's source (AGPL, section 13); null: its operator has not said. */
    readonly source: string | null;
  };
}
