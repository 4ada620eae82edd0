// SPDX-License-Identifier: AGPL-3.0-or-later
import { type ErrorCode, ProvError } from "../base/errors.ts";

/** Exit codes of every command but `prov dispatch`, which has its own. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  jobFailed: 3,
  jobCanceled: 4,
  unreachable: 5,
  refused: 6,
} as const;

/** The end of `prov --help`. */
export const EXIT_CODES_HELP = `Exit codes:
  0  done
  1  failed
  2  wrong usage, configuration or recipe
  3  the job failed
  4  the job was canceled
  5  the controller, or a registry, was not reached
  6  not logged in, or not allowed
prov dispatch has its own, 10 to 18 and 20: what was wrong with the task.`;

const BY_CODE: { readonly [Code in ErrorCode]?: number } = {
  USAGE: EXIT.usage,
  CONFIG_INVALID: EXIT.usage,
  RECIPE_INVALID: EXIT.usage,
  CONTROLLER_UNREACHABLE: EXIT.unreachable,
  REGISTRY_UNREACHABLE: EXIT.unreachable,
  UNAUTHENTICATED: EXIT.refused,
  FORBIDDEN: EXIT.refused,
};

export function exitCodeOf(error: unknown): number {
  return (error instanceof ProvError ? BY_CODE[error.code] : undefined) ?? EXIT.failed;
}
