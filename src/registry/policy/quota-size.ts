// SPDX-License-Identifier: AGPL-3.0-or-later

/** Binary units, as in recipes: `500G`, `500GB` and `500GiB` are the same. */
const UNITS = ["", "K", "M", "G", "T", "P"];

/** @returns bytes; undefined when it is no size, or one that a number cannot hold exactly. */
export function parseQuota(text: string): number | undefined {
  const match = /^(\d{1,16})([KMGTP]?)(?:i?B)?$/.exec(text);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * 1024 ** UNITS.indexOf(match[2] ?? "");
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** In the largest unit that says it exactly. */
export function renderQuota(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value > 0 && value % 1024 === 0 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value}${UNITS[unit]}`;
}
