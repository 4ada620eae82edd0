// SPDX-License-Identifier: AGPL-3.0-or-later

/** First and last byte, inclusive. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Reads a `Range` header (RFC 9110, section 14) against content of `size` bytes.
 * @returns "all" when there is none or it is not for us (another unit, several ranges);
 *   "unsatisfiable" for a 416.
 */
export function parseRange(
  header: string | null,
  size: number,
): ByteRange | "all" | "unsatisfiable" {
  const match = /^bytes=([^,]*)$/i.exec(header ?? "");
  if (match === null) return "all";
  const numbers = /^\s*(\d*)\s*-\s*(\d*)\s*$/.exec(match[1] ?? "");
  const range = numbers && resolveRange(numbers[1] ?? "", numbers[2] ?? "", size);
  return range && range.first <= range.last ? range : "unsatisfiable";
}

function resolveRange(from: string, to: string, size: number): ByteRange | null {
  if (from === "") {
    return to === "" ? null : { first: size - Math.min(Number(to), size), last: size - 1 };
  }
  const first = Number(from);
  if (to === "") return { first, last: size - 1 };
  return Number(to) < first ? null : { first, last: Math.min(Number(to), size - 1) };
}

/**
 * Reads an upload chunk's `Content-Range: <first>-<last>` (distribution-spec, "Pushing a blob in
 * chunks"), and HTTP's own `bytes <first>-<last>/<total>`, which some clients send.
 * @returns undefined when it is neither.
 */
export function parseContentRange(header: string): ByteRange | undefined {
  const match = /^(?:bytes[ =])?(\d+)-(\d+)(?:\/(?:\d+|\*))?$/i.exec(header.trim());
  if (match === null) return undefined;
  const range = { first: Number(match[1]), last: Number(match[2]) };
  return Number.isSafeInteger(range.last) && range.first <= range.last ? range : undefined;
}
