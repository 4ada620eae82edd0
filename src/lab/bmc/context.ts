// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Fetch, Log } from "../../base/deps.ts";
import type { BootOverride } from "./boot-override.ts";
import type { SlotContext } from "./media-slot.ts";
import { Refusal } from "./refusal.ts";
import type { Sessions } from "./sessions.ts";
import type { Tasks } from "./tasks.ts";

/** Everything one BMC knows and has. */
export interface BmcContext extends SlotContext {
  readonly serial: string;
  readonly username: string;
  readonly password: string;
  readonly fetch: Fetch;
  readonly log: Log;
  readonly sessions: Sessions;
  readonly tasks: Tasks;
  readonly boot: BootOverride;
  readonly state: BmcState;
}

interface BmcState {
  /** Counts changes of the system's settings: part of its ETag. */
  systemVersion: number;
  /** Unix epoch, ms. */
  startedAt: number;
}

export const systemPath = (bmc: BmcContext): string =>
  `/redfish/v1/Systems/${bmc.personality.systemId}`;

export const managerPath = (bmc: BmcContext): string =>
  `/redfish/v1/Managers/${bmc.personality.managerId}`;

export const systemEtag = (bmc: BmcContext): string =>
  `W/"${bmc.state.systemVersion}-${bmc.machine.power()}"`;

/** A collection resource of members given by their path. */
export function collection(path: string, type: string, members: readonly string[]): unknown {
  return {
    "@odata.id": path,
    "@odata.type": `#${type}Collection.${type}Collection`,
    Name: `${type} Collection`,
    Members: members.map((member) => ({ "@odata.id": member })),
    "Members@odata.count": members.length,
  };
}

/** `If-Match` of a change (RFC 9110 §13.1.1, compared as text: BMCs do). @throws {Refusal} 412, 428 */
export function checkMatch(bmc: BmcContext, ifMatch: string | undefined, etag: string): void {
  if (ifMatch === undefined) {
    if (bmc.personality.ifMatch === "optional") return;
    const message = "A precondition header or annotation is required to change this resource.";
    throw new Refusal(428, "Base.1.12.PreconditionRequired", message);
  }
  if (ifMatch === "*" || ifMatch === etag) return;
  const message = "The ETag supplied did not match the ETag required to change this resource.";
  throw new Refusal(412, "Base.1.12.PreconditionFailed", message);
}
