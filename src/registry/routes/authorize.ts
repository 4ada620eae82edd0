// SPDX-License-Identifier: AGPL-3.0-or-later
import { OciError } from "../oci-error.ts";
import type { Access, Parts, Wanted } from "./call.ts";

/**
 * Lets through who may do this.
 * @throws {OciError} `UNAUTHORIZED` with a challenge where credentials, or a token with more scope, would help;
 *   `DENIED` where they would not.
 */
export function authorize(access: Access, wanted: Wanted): void {
  const { action, repository } = wanted;
  const isKnown = access.identity !== "anonymous";
  // Anybody who is known may see that this is a registry.
  if ((isKnown && action === "pull" && repository === "") || access.may(action, repository)) return;
  if (!isKnown || access.mayWithScope?.(action, repository) === true) {
    throw new OciError("authentication required", {
      code: "UNAUTHORIZED",
      headers: { "www-authenticate": access.challenge?.([wanted]) ?? 'Basic realm="prov"' },
    });
  }
  throw new OciError(`${access.identity} may not ${action} here`, {
    code: "DENIED",
    detail: { repository, action },
  });
}

/** Whether a caller may know of what is in the repository, with or without a token for it. */
export function sees(access: Access, repository: string): boolean {
  return access.sees?.(repository) ?? access.may("pull", repository);
}

/**
 * `DENIED` and not 405: podman tries what is `UNSUPPORTED` again for half a minute, and docker says of it that
 * the registry is too old.
 * @throws {OciError} `DENIED` while the registry is read-only.
 */
export function requireWritable({ policy }: Parts, { action }: Wanted): void {
  if (action === "pull" || action === "list" || !policy().readOnly) return;
  throw new OciError("the registry is read-only at present", { code: "DENIED" });
}

/** @throws {OciError} `TOOMANYREQUESTS` */
export function requireRate({ policy, rateLimiter }: Parts, { limitedAs }: Access): void {
  const { rateLimit } = policy();
  if (rateLimit === null || limitedAs === undefined) return;
  const waitMs = rateLimiter.take(limitedAs, rateLimit);
  if (waitMs === 0) return;
  throw new OciError("too many requests: wait", {
    code: "TOOMANYREQUESTS",
    headers: { "retry-after": `${Math.ceil(waitMs / 1000)}` },
  });
}
