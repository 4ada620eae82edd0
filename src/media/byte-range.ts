// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The Range header (RFC 9110 14.1 and 14.2), for one range of bytes.
 */

export type ByteRange =
  /** Send everything: no range, another unit, several ranges, or not a range at all. */
  | { readonly kind: "whole" }
  /** [start, end), within the representation and not empty. */
  | { readonly kind: "part"; readonly start: number; readonly end: number }
  | { readonly kind: "unsatisfiable" };

/**
 * Several ranges are answered with the whole, which RFC 9110 14.2 allows: no BMC asks for them, and
 * multipart is more than some can read. A range that ends before it starts is unsatisfiable rather
 * than ignored, so that a confused reader gets an error and not gigabytes.
 *
 * @param size bytes of the representation
 */
export function parseRange(header: string | null, size: number): ByteRange {
  const match = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header ?? "");
  const [, first = "", last = ""] = match ?? [];
  if (first === "" && last === "") return { kind: "whole" };
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  return start < end ? { kind: "part", start, end } : { kind: "unsatisfiable" };
}
