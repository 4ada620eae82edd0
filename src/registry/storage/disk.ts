// SPDX-License-Identifier: AGPL-3.0-or-later
import * as fs from "node:fs/promises";

/**
 * The file system, as far as what is acknowledged depends on it. Tests put one in its place that
 * remembers what has been synced, and forgets the rest as a power cut does.
 */
export type Disk = Pick<
  typeof fs,
  "copyFile" | "link" | "mkdir" | "open" | "rename" | "rmdir" | "unlink"
>;

export const realDisk: Disk = fs;
