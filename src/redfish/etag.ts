// SPDX-License-Identifier: AGPL-3.0-or-later

/**
 * What to send as `If-Match`, in the order to try after each 412: the ETag as the BMC gave it, then with its
 * weakness turned round (some hand out weak ones and compare them strongly, some the other way). What is
 * left after both is to send none.
 */
export function etagLadder(etag: string | null): readonly string[] {
  if (etag === null) return [];
  return [etag, etag.startsWith("W/") ? etag.slice(2) : `W/${etag}`];
}
