// SPDX-License-Identifier: AGPL-3.0-or-later

/** Fails to compile when a `switch` over a union misses a member. */
export function assertNever(value: never): never {
  throw new TypeError(`Unhandled case: ${JSON.stringify(value)}`);
}
