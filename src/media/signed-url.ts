// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The signed form of a task ISO's URL, for people and tools:
 * `/media/tasks/{job_id}/task.iso?expires=UNIX&sig=B64URL`. BMCs get token URLs, which have no query.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

/** What a signature binds: a URL, until when, and to which bytes. */
export interface SignedMedium {
  readonly jobId: string;
  /** Unix epoch, seconds. */
  readonly expires: number;
  /** SHA-256 of the image in lower-case hex: the signature ends with the content. */
  readonly sha256: string;
}

export type SignatureVerdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: "malformed" | "bad-signature" | "expired" };

export const signedMediaPath = (jobId: string): string => `/media/tasks/${jobId}/task.iso`;

/** Path and query; the secret has at least one character. */
export function signMediaUrl(medium: SignedMedium, secret: string): string {
  const sig = signature(medium, secret).toString("base64url");
  return `${signedMediaPath(medium.jobId)}?expires=${medium.expires}&sig=${sig}`;
}

/** A HEAD request is good with the same signature: it shows less than GET. */
function signature(medium: SignedMedium, secret: string): Buffer {
  const signed = ["GET", signedMediaPath(medium.jobId), medium.expires, medium.sha256];
  return createHmac("sha256", secret).update(signed.join("\n")).digest();
}

/**
 * "expired" is said of genuine signatures only.
 *
 * @param query of the request's URL
 * @param secrets all that are accepted now: the new one and, during a rotation, the old one
 * @param now Unix epoch, ms
 */
export function verifyMediaUrl(
  medium: Omit<SignedMedium, "expires">,
  query: URLSearchParams,
  secrets: readonly string[],
  now: number,
): SignatureVerdict {
  const expiresText = query.get("expires") ?? "";
  const sigText = query.get("sig") ?? "";
  // Ten digits reach the year 2286; 32 bytes are 43 characters of base64url.
  const isWellFormed = /^[1-9]\d{0,9}$/.test(expiresText) && /^[\w-]{43}$/.test(sigText);
  const given = Buffer.from(sigText, "base64url");
  // The last character has two bits to spare; only one spelling of a signature is accepted.
  if (!isWellFormed || given.toString("base64url") !== sigText) {
    return { ok: false, reason: "malformed" };
  }
  const expires = Number(expiresText);
  // Every secret is tried, so that the time does not tell which one matched.
  const matches = secrets.map((secret) =>
    timingSafeEqual(signature({ ...medium, expires }, secret), given),
  );
  if (!matches.includes(true)) return { ok: false, reason: "bad-signature" };
  return now < expires * 1000 ? { ok: true } : { ok: false, reason: "expired" };
}
