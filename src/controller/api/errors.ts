// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Every error that the API answers with: its name, its HTTP status, and which codes become it.
 * The body is `{error, message, details?}`.
 */
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { type ErrorCode, hintOf, ProvError } from "../../base/errors.ts";
import type { Finding } from "../../base/findings.ts";

const STATUS = {
  invalid_json: 400,
  invalid_request: 400,
  validation_error: 400,
  unauthorized: 401,
  forbidden: 403,
  tls_required: 403,
  not_found: 404,
  "conflict.active_job": 409,
  "conflict.idempotency_key": 409,
  "conflict.job_state": 409,
  conflict: 409,
  precondition_failed: 412,
  too_large: 413,
  rate_limited: 429,
  internal: 500,
  bmc_error: 502,
  upstream_error: 502,
  unavailable: 503,
  bmc_timeout: 504,
  storage_full: 507,
} as const satisfies Record<string, ContentfulStatusCode>;

export type ErrorName = keyof typeof STATUS;

const NAMES: Record<ErrorCode, ErrorName> = {
  USAGE: "invalid_request",
  CONFIG_INVALID: "internal",
  RECIPE_INVALID: "validation_error",
  PLAN_IMPOSSIBLE: "validation_error",
  SERVER_MISMATCH: "conflict",
  TASK_NOT_FOUND: "internal",
  TASK_UNMOUNTABLE: "internal",
  SCHEMA_INVALID: "internal",
  RECIPE_UNREADABLE: "validation_error",
  OUTPUT_FAILED: "internal",
  SYSTEMD_REFUSED: "internal",
  PRIVILEGES_MISSING: "internal",
  DISK_MISMATCH: "conflict",
  DISK_FULL: "storage_full",
  COMMAND_FAILED: "internal",
  COMMAND_TIMED_OUT: "internal",
  MEDIA_INVALID: "internal",
  BMC_UNREACHABLE: "bmc_error",
  BMC_UNAUTHORIZED: "bmc_error",
  BMC_UNTRUSTED: "bmc_error",
  BMC_REFUSED: "bmc_error",
  BMC_UNSUPPORTED: "bmc_error",
  BMC_TIMED_OUT: "bmc_timeout",
  ARTIFACT_NOT_FOUND: "not_found",
  ARTIFACT_INVALID: "invalid_request",
  ARTIFACT_UNSIGNED: "forbidden",
  REGISTRY_UNREACHABLE: "upstream_error",
  CONTROLLER_UNREACHABLE: "unavailable",
  UNAUTHENTICATED: "unauthorized",
  FORBIDDEN: "forbidden",
  NOT_FOUND: "not_found",
  CONFLICT: "conflict",
  LEASE_LOST: "conflict",
  STORE_TOO_NEW: "internal",
  STORAGE_FULL: "storage_full",
};

/** A request that is refused. Thrown inside `api/` only; `answerTo` makes the response. */
export class Refusal extends Error {
  readonly error: ErrorName;
  readonly details: readonly Finding[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    error: ErrorName,
    message: string,
    more: {
      readonly details?: readonly Finding[];
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message);
    this.error = error;
    this.details = more.details ?? [];
    this.headers = more.headers ?? {};
  }
}

/** One field of a request that is not as it has to be. */
export function invalidField(path: string, code: string, message: string): Refusal {
  return new Refusal("validation_error", `The request is invalid: ${path}: ${message}`, {
    details: [{ path, code, message }],
  });
}

export function rateLimited(message: string, retryAfterMs: number): Refusal {
  const headers = { "retry-after": String(Math.ceil(retryAfterMs / 1000)) };
  return new Refusal("rate_limited", message, { headers });
}

/**
 * The response to whatever was thrown. The message of a ProvError is written for people and shown; its
 * causes, and every other error, are for the log only.
 */
export function answerTo(thrown: unknown): Response {
  if (thrown instanceof Refusal) {
    return errorResponse(thrown.error, thrown.message, thrown.details, thrown.headers);
  }
  if (thrown instanceof ProvError) {
    const hint = hintOf(thrown);
    const message = hint === undefined ? thrown.message : `${thrown.message}. ${hint}`;
    return errorResponse(NAMES[thrown.code], message);
  }
  return errorResponse("internal", "Internal error: see the controller's log");
}

export function errorResponse(
  error: ErrorName,
  message: string,
  details: readonly Finding[] = [],
  headers: Readonly<Record<string, string>> = {},
): Response {
  return Response.json(
    { error, message, ...(details.length > 0 && { details }) },
    { status: STATUS[error], headers },
  );
}
