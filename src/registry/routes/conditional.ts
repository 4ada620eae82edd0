// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Conditional requests (RFC 9110, section 13). The entity tag of all content is its quoted digest,
 * which is a strong one: equal tags are equal bytes.
 */
import type { Digest } from "../digest.ts";
import { OciError } from "../oci-error.ts";

export function etagOf(digest: Digest): string {
  return `"${digest}"`;
}

/** Whether If-None-Match says that the client has this content already. */
export function isKnownToClient(headers: Headers, digest: Digest): boolean {
  const header = headers.get("if-none-match");
  return header !== null && matches(header, digest, "weak");
}

/** Whether a Range applies: without If-Range, or when it names exactly this content. */
export function isRangeWanted(headers: Headers, digest: Digest): boolean {
  const header = headers.get("if-range");
  return header === null || header.trim() === etagOf(digest);
}

/**
 * If-Match and If-None-Match of a request that changes something: what keeps two clients that
 * maintain the same tag from overwriting each other.
 * @param current what the reference names now.
 * @throws {OciError} 412 when something else is there than the client thinks.
 */
export function requireUnchanged(headers: Headers, current: Digest | undefined): void {
  const wanted = headers.get("if-match");
  const unwanted = headers.get("if-none-match");
  const isMet =
    (wanted === null || matches(wanted, current, "strong")) &&
    (unwanted === null || !matches(unwanted, current, "weak"));
  if (isMet) return;
  const found = current === undefined ? "nothing there" : `${current} there`;
  throw new OciError(`the precondition does not hold: there is ${found} now`, {
    code: "DENIED",
    status: 412,
    ...(current !== undefined && { headers: { etag: etagOf(current) } }),
  });
}

/** Some clients leave the quotes out: a digest is no less clear without them. */
function matches(
  header: string,
  digest: Digest | undefined,
  comparison: "strong" | "weak",
): boolean {
  if (digest === undefined) return false;
  const known = [etagOf(digest), digest, ...(comparison === "weak" ? [`W/${etagOf(digest)}`] : [])];
  return header.trim() === "*" || header.split(",").some((tag) => known.includes(tag.trim()));
}
