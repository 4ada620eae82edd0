// SPDX-License-Identifier: AGPL-3.0-or-later
import { errnoOf } from "./storage/durable.ts";

/** Status of each error code: distribution-spec "Error Codes", and two of our own at the end. */
const STATUS = {
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_INVALID: 400,
  BLOB_UPLOAD_UNKNOWN: 404,
  DENIED: 403,
  DIGEST_INVALID: 400,
  MANIFEST_BLOB_UNKNOWN: 404,
  MANIFEST_INVALID: 400,
  MANIFEST_UNKNOWN: 404,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  SIZE_INVALID: 400,
  TAG_INVALID: 400,
  TOOMANYREQUESTS: 429,
  UNAUTHORIZED: 401,
  UNKNOWN: 500,
  UNSUPPORTED: 405,
  STORAGE_FULL: 507,
  /** It may be upstream, and upstream cannot be asked. */
  UNAVAILABLE: 503,
} as const;

/** A request that the registry answers with an error body. Never leaves the room. */
export class OciError extends Error {
  override readonly name = "OciError";
  readonly code: keyof typeof STATUS;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly detail: unknown;

  constructor(
    message: string,
    options: {
      code: keyof typeof STATUS;
      status?: number;
      headers?: Record<string, string>;
      detail?: unknown;
      cause?: unknown;
    },
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = options.code;
    this.status = options.status ?? STATUS[options.code];
    this.headers = options.headers ?? {};
    this.detail = options.detail ?? null;
  }

  toResponse(): Response {
    const { code, message, detail } = this;
    return Response.json(
      { errors: [{ code, message, detail }] },
      { status: this.status, headers: this.headers },
    );
  }
}

/** An answer in the registry's format from what stands before it. */
export function ociAnswer(
  code: "DENIED" | "TOOMANYREQUESTS" | "UNAUTHORIZED" | "UNSUPPORTED",
  message: string,
  options: { readonly status?: number; readonly headers?: Record<string, string> } = {},
): Response {
  return new OciError(message, { code, ...options }).toResponse();
}

export function storageFull(cause?: unknown): OciError {
  return new OciError("the registry's disk is full", { code: "STORAGE_FULL", cause });
}

/** System calls' names for it, and SQLite's. */
const DISK_FULL = ["ENOSPC", "EDQUOT", "SQLITE_FULL"];

/** What a client is told of any error: a full disk by its name, and nothing of what is a bug. */
export function toOciError(error: unknown): OciError {
  if (error instanceof OciError) return error;
  const errno = errnoOf(error);
  if (errno !== undefined && DISK_FULL.includes(errno)) return storageFull(error);
  return new OciError("internal error: see the registry's log", { code: "UNKNOWN", cause: error });
}
