// SPDX-License-Identifier: AGPL-3.0-or-later
import CODES from "./sgdisk-codes.json" with { type: "json" };

/** Partition types that prov itself reasons about: UEFI specification and UAPI Discoverable Partitions. */
export const PARTITION_TYPE = {
  esp: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
  microsoftReserved: "e3c9e316-0b5c-4db8-817d-f92df00215ae",
} as const;

const GUID_OF_CODE: ReadonlyMap<string, string> = new Map(Object.entries(CODES));

/**
 * The type GUID, lower case with dashes, of what a recipe calls `type_guid`: one of the four-digit codes of
 * `sgdisk --list-types` (gptfdisk 1.0.9), or a GUID with or without dashes. undefined: no such code.
 */
export function partitionTypeGuid(text: string): string | undefined {
  if (text.length === 4) return GUID_OF_CODE.get(text.toLowerCase());
  const hex = text.toLowerCase().replaceAll("-", "");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
