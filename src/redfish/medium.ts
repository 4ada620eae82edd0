// SPDX-License-Identifier: AGPL-3.0-or-later
import { stringAt } from "../base/json.ts";
import { seconds } from "../base/units.ts";
import type { MediaSlot } from "./capabilities.ts";
import type { Connection, ConnectionDeps, Resource } from "./connection.ts";
import type { Quirks } from "./quirks.ts";

export interface MediaContext {
  readonly connection: Connection;
  readonly deps: ConnectionDeps;
  readonly quirks: Quirks;
}

/** Between two looks at a slot that is changing. */
export const SLOT_POLL = seconds(2);

/** A BMC that is still busy with the last change to a slot refuses the next for some seconds. */
export const BUSY_TRIES = 5;
export const BUSY_PAUSE = seconds(3);

/** What a slot shows. */
export interface Medium {
  readonly resource: Resource;
  /** Really there: some BMCs keep Inserted or Image of a medium that is long gone. */
  readonly inserted: boolean;
  readonly connected: boolean;
  readonly image: string;
}

/** Reads what is in a slot. */
export async function readMedium(connection: Connection, slot: MediaSlot): Promise<Medium> {
  const resource = await connection.get(slot.path);
  const { body } = resource;
  const connected = stringAt(body, "ConnectedVia") !== "NotConnected";
  return {
    resource,
    connected,
    inserted: body.Inserted === true && connected,
    image: stringAt(body, "Image") ?? "",
  };
}

/** BMCs show the URL whole, without its host, or not at all; its path is unique to one insert. */
export function shows(medium: Medium, url: string): boolean {
  return medium.image === "" || medium.image.includes(new URL(url).pathname);
}

/**
 * What nobody may read of an image's URL, which BMCs quote in errors: its path, and alone, for those that write it
 * in another spelling, the longest part of it, which is the job's token.
 */
export function secretsOf(image: string): readonly string[] {
  const path = URL.parse(image)?.pathname ?? image;
  const longest = path.split("/").toSorted((a, b) => b.length - a.length)[0] ?? "";
  return [path, longest];
}
