// SPDX-License-Identifier: AGPL-3.0-or-later

/** How large a partition is to be: a number of bytes, or a share of what the fixed sizes leave. */
export type Size =
  | { readonly kind: "fixed"; readonly bytes: number }
  /** 1 to 99. */
  | { readonly kind: "percent"; readonly percent: number }
  /** `100%`: all that the others leave. */
  | { readonly kind: "rest" };

const UNIT = { "": 0, B: 0, K: 1, M: 2, G: 3, T: 4, P: 5 } as const;

/**
 * Reads a size as the schema allows it; units are binary and `iB` and `B` after them change nothing:
 * `512M`, `512MB` and `512MiB` are the same. A bare number counts bytes.
 *
 * @throws {SyntaxError} when the text is no size.
 */
export function parseSize(text: string): Size {
  const match = /^(\d+)(%|([KMGTP]?)(?:i?B)?)$/.exec(text);
  if (match === null) throw new SyntaxError(`"${text}" is no size`);
  const n = Number(match[1]);
  if (match[2] === "%") return n === 100 ? { kind: "rest" } : { kind: "percent", percent: n };
  const unit = (match[3] ?? "") as keyof typeof UNIT;
  return { kind: "fixed", bytes: n * 1024 ** UNIT[unit] };
}
