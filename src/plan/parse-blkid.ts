// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Signature } from "./facts.ts";

/**
 * Reads the output of `blkid --probe --output export DEVICE`: one `KEY=value` per line, with a backslash
 * before whatever a shell would take for its own. A device without a file system may still have a partition
 * table, and then has the type `dos partition table`. null: nothing of the kind.
 */
export function parseBlkid(text: string): Signature | null {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const split = line.indexOf("=");
    if (split > 0) values.set(line.slice(0, split), line.slice(split + 1).replace(/\\(.)/g, "$1"));
  }
  const table = values.get("PTTYPE");
  const type = values.get("TYPE") ?? (table === undefined ? undefined : `${table} partition table`);
  if (type === undefined) return null;
  return { type, uuid: values.get("UUID") ?? null, label: values.get("LABEL") ?? null };
}

/** What blkid says, by exiting with 8, when it sees more than one signature and cannot tell which counts. */
export const AMBIGUOUS: Signature = { type: "ambiguous", uuid: null, label: null };

/** What a disk has that can be read neither by sfdisk nor by blkid: perhaps a failing one, surely not a blank one. */
export const UNREADABLE: Signature = { type: "unreadable data", uuid: null, label: null };
