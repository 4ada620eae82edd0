// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The one error type that crosses a room's door.
 *
 * The message says what was attempted and the state that was found; the cause says what went wrong
 * underneath and is never pasted into the message; the hint tells an operator what to do next.
 * {@link describeError} is the only place where the chain becomes one line of text.
 */

/**
 * Every failure that some caller branches on, and whether trying the same again can help.
 * A new code is added when a caller needs it, and does not compile until every table knows it.
 */
const CODES = {
  USAGE: { retryable: false },
  CONFIG_INVALID: { retryable: false },
  RECIPE_INVALID: { retryable: false },
  PLAN_IMPOSSIBLE: { retryable: false },
  SERVER_MISMATCH: { retryable: false },
  TASK_NOT_FOUND: { retryable: false },
  TASK_UNMOUNTABLE: { retryable: false },
  SCHEMA_INVALID: { retryable: false },
  RECIPE_UNREADABLE: { retryable: false },
  OUTPUT_FAILED: { retryable: false },
  SYSTEMD_REFUSED: { retryable: false },
  PRIVILEGES_MISSING: { retryable: false },
  DISK_MISMATCH: { retryable: false },
  DISK_FULL: { retryable: false },
  COMMAND_FAILED: { retryable: false },
  COMMAND_TIMED_OUT: { retryable: true },
  MEDIA_INVALID: { retryable: false },
  BMC_UNREACHABLE: { retryable: true },
  BMC_UNAUTHORIZED: { retryable: false },
  BMC_UNTRUSTED: { retryable: false },
  BMC_REFUSED: { retryable: false },
  BMC_UNSUPPORTED: { retryable: false },
  BMC_TIMED_OUT: { retryable: true },
  ARTIFACT_NOT_FOUND: { retryable: false },
  ARTIFACT_INVALID: { retryable: false },
  ARTIFACT_UNSIGNED: { retryable: false },
  REGISTRY_UNREACHABLE: { retryable: true },
  CONTROLLER_UNREACHABLE: { retryable: true },
  UNAUTHENTICATED: { retryable: false },
  FORBIDDEN: { retryable: false },
  NOT_FOUND: { retryable: false },
  CONFLICT: { retryable: false },
  LEASE_LOST: { retryable: false },
  STORE_TOO_NEW: { retryable: false },
  STORAGE_FULL: { retryable: false },
} as const satisfies Record<string, { readonly retryable: boolean }>;

export type ErrorCode = keyof typeof CODES;

/** A failure with a stable code. Whatever else is thrown is a bug in prov. */
export class ProvError extends Error {
  override readonly name = "ProvError";
  readonly code: ErrorCode;
  /** What the operator can do about it: one imperative sentence. */
  readonly hint: string | undefined;

  constructor(message: string, options: { code: ErrorCode; cause?: unknown; hint?: string }) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = options.code;
    this.hint = options.hint;
  }

  get retryable(): boolean {
    return CODES[this.code].retryable;
  }
}

/** The chain of causes on one line, outermost first: `Cannot power on bmc-7: HTTP 503`. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  while (current !== undefined) {
    parts.push(current instanceof Error ? current.message : String(current));
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(": ");
}

/** The outermost hint in the chain, if any part of it has one. */
export function hintOf(error: unknown): string | undefined {
  let current: unknown = error;
  while (current instanceof Error) {
    if (current instanceof ProvError && current.hint !== undefined) return current.hint;
    current = current.cause;
  }
  return undefined;
}
