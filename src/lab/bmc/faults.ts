// SPDX-License-Identifier: AGPL-3.0-or-later
import { isObject } from "../../base/json.ts";

/** What goes wrong on purpose. Counters go down as they are used up. */
export interface Faults {
  /** The next n inserts answer 500. */
  insertFails: number;
  /** Inserts succeed, but the server never sees the medium and nothing reads its URL. */
  neverReadsMedia: boolean;
  /** As on a BMC without the licence: no virtual media resources at all. */
  noVirtualMedia: boolean;
  /** Every credential and session is refused. */
  wrongPassword: boolean;
  /** An eject is accepted at once and takes effect this many ms later; inserts until then fail. */
  ejectSlow: number;
  /** The next n resets are answered 204 and not carried out. */
  resetIgnored: number;
  /** The boot override is stored and shown, but the server boots its disk. */
  overrideIgnored: boolean;
  /** The next `count` requests answer `status`. */
  httpErrors: { status: number; count: number };
}

export const noFaults = (): Faults => ({
  insertFails: 0,
  neverReadsMedia: false,
  noVirtualMedia: false,
  wrongPassword: false,
  ejectSlow: 0,
  resetIgnored: 0,
  overrideIgnored: false,
  httpErrors: { status: 503, count: 0 },
});

/** Sets what `document` names and leaves the rest. @throws {TypeError} on unknown names and wrong types. */
export function setFaults(faults: Faults, document: unknown): void {
  if (!isObject(document)) throw new TypeError("Cannot set faults: the document is not an object");
  const known: object = faults;
  for (const [name, value] of Object.entries(document)) {
    const present: unknown = Reflect.get(known, name);
    if (present === undefined || typeof present !== typeof value) {
      throw new TypeError(`Cannot set fault ${JSON.stringify(name)} to ${JSON.stringify(value)}`);
    }
    Reflect.set(known, name, value);
  }
}
