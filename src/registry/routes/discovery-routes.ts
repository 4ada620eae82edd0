// SPDX-License-Identifier: AGPL-3.0-or-later

import { MEDIA_TYPE } from "../manifest.ts";
import { OciError } from "../oci-error.ts";
import type { Call } from "./call.ts";
import { requireDigest } from "./call.ts";

/** Every tag of a repository when the client does not say how many it wants. */
const NO_LIMIT = 1_000_000;

/** GET …/tags/list : distribution-spec end-8. */
export function listTags({ query, repository, parts }: Call): Response {
  if (!parts.catalog.hasRepository(repository)) {
    throw new OciError(`there is no repository ${repository}`, { code: "NAME_UNKNOWN" });
  }
  const limit = pageSize(query);
  const found = parts.catalog.tagPage(repository, query.get("last") ?? "", limit + 1);
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
  const found = parts.catalog
    .repositories()
    .filter((name) => name > last && access.may("pull", name));
  const repositories = found.slice(0, limit);
  return Response.json(
    { repositories },
    { headers: nextPage(found, repositories, query, "/v2/_catalog") },
  );
}

/** GET …/referrers/<digest> : distribution-spec end-12. Without referrers it is an empty index. */
export function listReferrers({ query, repository, last, parts }: Call): Response {
  const subject = requireDigest(last);
  const wanted = query.get("artifactType");
  const manifests = parts.catalog
    .referrers(repository, subject)
    .filter(({ artifactType }) => wanted === null || artifactType === wanted)
    .map(({ mediaType, digest, size, artifactType, annotations }) => ({
      mediaType,
      digest,
      size,
      ...(artifactType !== null && { artifactType }),
      ...(Object.keys(annotations).length > 0 && { annotations }),
    }));
  return new Response(
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests }),
    {
      headers: {
        "content-type": MEDIA_TYPE.index,
        ...(wanted !== null && { "oci-filters-applied": "artifactType" }),
      },
    },
  );
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
