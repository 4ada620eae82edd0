// SPDX-License-Identifier: AGPL-3.0-or-later
import { printable } from "./printable.ts";

/**
 * Columns for people: `table([["SERIAL", "BMC"], ["X1", "https://…"]])`. The first row is the heading. What a cell
 * says stays in it: it makes no further rows.
 */
export function table(cells: readonly (readonly string[])[]): string {
  const rows = cells.map((row) => row.map((cell) => printable(cell).replaceAll("\n", " ")));
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** `2026-11-21 04:33:12`, in UTC; `-` for no time. */
export function formatTime(value: unknown): string {
  const date = typeof value === "string" || typeof value === "number" ? new Date(value) : undefined;
  if (date === undefined || Number.isNaN(date.getTime())) return "-";
  return date.toISOString().slice(0, 19).replace("T", " ");
}

/** `[########------]  58%` */
export function progressBar(done: number, total: number, width: number): string {
  const share = total <= 0 ? 1 : Math.min(1, done / total);
  const filled = Math.round(share * width);
  const percent = String(Math.floor(share * 100)).padStart(3);
  return `[${"#".repeat(filled)}${"-".repeat(width - filled)}] ${percent}%`;
}

/** `serial  X1`, one line per value that there is. */
export function lines(values: Readonly<Record<string, string | undefined>>): string {
  return table(Object.entries(values).flatMap(([name, value]) => (value ? [[name, value]] : [])));
}
