// SPDX-License-Identifier: AGPL-3.0-or-later
import { type Millis, millis, seconds } from "../base/units.ts";
import type { InsertField } from "./insert-body.ts";

/** Where BMCs differ in ways they do not tell. What they do tell (links, Allow, AllowableValues) is not here. */
export interface Quirks {
  /** Properties of ComputerSystem that can hold the DMI product serial. */
  readonly serialFields: readonly ("SerialNumber" | "SKU")[];
  /** Ids of the slots that take an image for the host to boot; the others serve other purposes. */
  readonly slotIds: RegExp | null;
  /** Where several slots are listed but only one medium works at a time. */
  readonly oneMedium: "never" | "under-managers" | "always";
  /** Fields without which an insert is accepted and nothing is attached. */
  readonly insertFields: readonly InsertField[];
  /** Protocols images are taken by, when the BMC does not say; null: not known. */
  readonly protocols: readonly string[] | null;
  /** Between a finished eject and the next insert. */
  readonly pauseAfterEject: Millis;
  /** Boot targets that mean the virtual CD, best first. */
  readonly cdTargets: readonly string[];
  /** True where a boot override is only taken with its mode, even an unchanged one. */
  readonly wholeBootRequest: boolean;
}

const COMMON: Quirks = {
  serialFields: ["SerialNumber"],
  slotIds: null,
  oneMedium: "never",
  insertFields: [],
  protocols: null,
  pauseAfterEject: millis(0),
  cdTargets: ["Cd", "UsbCd"],
  wholeBootRequest: false,
};

/**
 * Read a row as: a BMC one of whose names matches differs from the common ones in this. Names are
 * ServiceRoot.Vendor, ComputerSystem.Manufacturer, Manager.Manufacturer and Manager.Model. First match wins.
 */
const TABLE: readonly { readonly name: RegExp; readonly differs: Partial<Quirks> }[] = [
  {
    // The DMI serial is the service tag, which Redfish shows as SKU; SerialNumber is the board's. Without
    // slots under Systems (iDRAC8, iDRAC9 before 6.00) a CD and a removable disk exclude each other.
    name: /\bdell\b/i,
    differs: { serialFields: ["SKU", "SerialNumber"], oneMedium: "under-managers" },
  },
  {
    // One medium works whatever is listed, and a mount right after an unmount fails.
    name: /supermicro|super micro/i,
    differs: {
      oneMedium: "always",
      pauseAfterEject: seconds(2),
      cdTargets: ["UsbCd", "Cd"],
      wholeBootRequest: true,
    },
  },
  {
    // RDOC slots keep an upload of at most 50 MB, Remote slots belong to the console.
    name: /lenovo|\bxcc\b/i,
    differs: { slotIds: /^EXT/i, insertFields: ["Inserted", "WriteProtected"] },
  },
  {
    name: /fujitsu|\birmc/i,
    differs: { protocols: ["CIFS", "HTTPS", "NFS"], pauseAfterEject: seconds(2) },
  },
  {
    name: /american megatrends|\bami\b|megarac|asrock|gigabyte/i,
    differs: { wholeBootRequest: true },
  },
  {
    // bmcweb takes https and smb URLs only.
    name: /openbmc/i,
    differs: { protocols: ["HTTPS", "CIFS"] },
  },
];

/** What is known of a BMC by its names. */
export function quirksOf(names: readonly string[]): Quirks {
  const row = TABLE.find(({ name }) => names.some((n) => name.test(n)));
  return { ...COMMON, ...row?.differs };
}
