// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Disk, MachineFacts } from "../../src/plan/facts.ts";
import type { Layout } from "../../src/plan/layout.ts";
import { tableOf } from "../../src/plan/match-layout.ts";

export const SERIAL = "XF-12345ABC";
export const DIGEST = `sha256:${"4f".repeat(32)}`;

const GIB = 1024 ** 3;

/** A blank 64 GiB disk, but for what is said otherwise. */
export function disk(path: string, other: Partial<Disk> = {}): Disk {
  return {
    path,
    symlinks: [],
    type: "disk",
    sizeBytes: 64 * GIB,
    sectorBytes: 512,
    readOnly: false,
    model: "Some SSD",
    serial: null,
    transport: null,
    signature: null,
    table: null,
    mountpoints: [],
    holders: [],
    ...other,
  };
}

/** A UEFI machine with the job's serial. */
export function machine(disks: readonly Disk[], other: Partial<MachineFacts> = {}): MachineFacts {
  return {
    serial: SERIAL,
    architecture: "x64",
    uefi: { secureBoot: true, boot: { order: [], entries: [] } },
    disks,
    ...other,
  };
}

/** The disk after a layout was written to it. */
export const withLayout = (blank: Disk, layout: Layout): Disk => ({
  ...blank,
  table: tableOf(layout, blank.path),
});
