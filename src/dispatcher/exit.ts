// SPDX-License-Identifier: AGPL-3.0-or-later
import { type ErrorCode, ProvError } from "../base/errors.ts";

/** Exit codes of `prov dispatch` that say where it ended. 0 is success. */
const DISPATCH_EXIT: { readonly [Code in ErrorCode]?: number } = {
  TASK_NOT_FOUND: 10,
  TASK_UNMOUNTABLE: 11,
  SCHEMA_INVALID: 12,
  RECIPE_UNREADABLE: 13,
  RECIPE_INVALID: 14,
  OUTPUT_FAILED: 15,
  SYSTEMD_REFUSED: 16,
  PRIVILEGES_MISSING: 17,
  SERVER_MISMATCH: 18,
};
const UNEXPECTED = 20;

/** The exit code of `prov dispatch` for what it threw. */
export function dispatchExitCode(error: unknown): number {
  return (error instanceof ProvError ? DISPATCH_EXIT[error.code] : undefined) ?? UNEXPECTED;
}

/** Runs `work`; what it throws becomes the cause of a `code` error that says what was attempted. */
export async function orFail<T>(
  code: ErrorCode,
  attempt: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ProvError && error.code === code) throw error;
    throw new ProvError(attempt, { code, cause: error });
  }
}
