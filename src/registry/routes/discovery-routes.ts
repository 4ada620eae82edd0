// SPDX-License-Identifier: AGPL-3.0-or-later

import type { ManifestRow } from "../catalog/manifests.ts";
import { compareTags } from "../catalog/tags.ts";
import type { Digest } from "../digest.ts";
import { MANIFEST_MAX_BYTES, MEDIA_TYPE } from "../manifest.ts";
import { OciError } from "../oci-error.ts";
import { sees } from "./authorize.ts";
import type { Call } from "./call.ts";
import { requireDigest } from "./call.ts";

/** Every tag of a repository when the client does not say how many it wants. */
const NO_LIMIT = 1_000_000;
/** Clients refuse an index that is larger than a manifest may be: some room for what is around. */
const REFERRERS_BYTES = MANIFEST_MAX_BYTES - 4096;

/** GET …/tags/list : distribution-spec end-8. */
export async function listTags({ query, repository, parts }: Call): Promise<Response> {
  const limit = pageSize(query);
  const last = query.get("last") ?? "";
  const all = await parts.mirror?.tags(repository);
  if (!parts.catalog.hasRepository(repository) && (all ?? []).length === 0) {
    throw new OciError(`there is no repository ${repository}`, { code: "NAME_UNKNOWN" });
  }
  const found =
    all?.filter((tag) => compareTags(tag, last) > 0).slice(0, limit + 1) ??
    parts.catalog.tagPage(repository, last, limit + 1);
  const tags = found.slice(0, limit);
  return Response.json(
    { name: repository, tags },
    { headers: nextPage(found, tags, query, `/v2/${repository}/tags/list`) },
  );
}

/** GET /v2/_catalog : the repositories that the client may pull from. */
export function listRepositories({ query, access, parts }: Call): Response {
  const last = query.get("last") ?? "";
  const limit = pageSize(query);
  const found = parts.catalog.repositories().filter((name) => name > last && sees(access, name));
  const repositories = found.slice(0, limit);
  return Response.json(
    { repositories },
    { headers: nextPage(found, repositories, query, "/v2/_catalog") },
  );
}

/**
 * GET …/referrers/<digest> : distribution-spec end-12. Without referrers it is an empty index, and
 * what is too long for one comes in several, in the order of digests.
 */
export async function listReferrers({ query, repository, last, parts }: Call): Promise<Response> {
  const subject = requireDigest(last);
  await parts.mirror?.bringReferrers(repository, subject);
  const wanted = query.get("artifactType");
  const rows = parts.catalog.referrers(repository, subject, query.get("last") ?? "");
  const { manifests, next } = takePage(rows, wanted);
  const headers = new Headers({ "content-type": MEDIA_TYPE.index });
  if (wanted !== null) headers.set("oci-filters-applied", "artifactType");
  if (next !== undefined) {
    const rest = new URLSearchParams({
      ...(wanted !== null && { artifactType: wanted }),
      last: next,
    });
    headers.set("link", `</v2/${repository}/referrers/${subject}?${rest}>; rel="next"`);
  }
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests };
  return new Response(JSON.stringify(index), { headers });
}

/**
 * As many descriptors as an index may have bytes, and one at least.
 * @returns `next`: the last of them, when there are more.
 */
function takePage(rows: Iterable<ManifestRow>, artifactType: string | null) {
  const manifests = [];
  let bytes = 0;
  let last: Digest | undefined;
  for (const row of rows) {
    if (artifactType !== null && row.artifactType !== artifactType) continue;
    const descriptor = descriptorOf(row);
    bytes += Buffer.byteLength(JSON.stringify(descriptor));
    if (last !== undefined && bytes > REFERRERS_BYTES) return { manifests, next: last };
    manifests.push(descriptor);
    last = row.digest;
  }
  return { manifests, next: undefined };
}

function descriptorOf({ mediaType, digest, size, artifactType, annotations }: ManifestRow) {
  return {
    mediaType,
    digest,
    size,
    ...(artifactType !== null && { artifactType }),
    ...(Object.keys(annotations).length > 0 && { annotations }),
  };
}

function pageSize(query: URLSearchParams): number {
  const text = query.get("n");
  if (text === null) return NO_LIMIT;
  if (/^\d{1,9}$/.test(text)) return Math.min(Number(text), NO_LIMIT);
  throw new OciError(`n="${text.slice(0, 20)}" is not a number of results`, {
    code: "UNSUPPORTED",
    status: 400,
  });
}

/** A Link header (RFC 8288) when there is more than `shown`. */
function nextPage(
  found: readonly string[],
  shown: readonly string[],
  query: URLSearchParams,
  path: string,
): Record<string, string> {
  const last = shown.at(-1);
  if (last === undefined || found.length === shown.length) return {};
  const next = new URLSearchParams({ n: query.get("n") ?? "", last });
  return { link: `<${path}?${next}>; rel="next"` };
}
