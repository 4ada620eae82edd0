// SPDX-License-Identifier: AGPL-3.0-or-later
import type { BootEntries, BootEntry } from "./facts.ts";

/**
 * Reads the output of `efibootmgr --verbose`. Entries look like
 * `Boot0003* debian<TAB>HD(1,GPT,…)/File(\EFI\debian\shimx64.efi)`; before version 18 the device path's
 * file part has a slash more or less. Lines that are something else are skipped.
 */
export function parseEfibootmgr(text: string): BootEntries {
  const entries: BootEntry[] = [];
  let order: string[] = [];
  for (const line of text.split("\n")) {
    const entry = /^Boot([0-9A-Fa-f]{4})(\*?) (.*)$/.exec(line);
    if (entry !== null) {
      const [label = "", devicePath = ""] = (entry[3] ?? "").split("\t");
      entries.push({
        number: (entry[1] ?? "").toUpperCase(),
        label: label.trim(),
        active: entry[2] === "*",
        devicePath: devicePath.trim(),
      });
    }
    const listed = /^BootOrder: (.*)$/.exec(line);
    if (listed !== null)
      order = (listed[1] ?? "")
        .toUpperCase()
        .split(",")
        .filter((n) => n !== "");
  }
  return { order, entries };
}
