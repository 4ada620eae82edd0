// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import { formatDuration, type Millis } from "../base/units.ts";

/**
 * A signal that aborts with `signal`, or when `ms` are over: then with an error that says so of `what`. Ends with
 * its scope.
 */
export function deadline(
  what: string,
  ms: Millis,
  signal: AbortSignal,
): { readonly signal: AbortSignal } & Disposable {
  const over = new AbortController();
  const timer = setTimeout(() => {
    const message = `${what} was not done within ${formatDuration(ms)}`;
    over.abort(new ProvError(message, { code: "COMMAND_TIMED_OUT" }));
  }, ms);
  return {
    signal: AbortSignal.any([signal, over.signal]),
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}
