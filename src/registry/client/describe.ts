// SPDX-License-Identifier: AGPL-3.0-or-later
import { arrayAt, property, stringAt } from "../../base/json.ts";
import { type Digest, parseDigest } from "../digest.ts";
import type { Descriptor } from "../manifest.ts";
import { type Conversation, converse } from "./conversation.ts";
import { MANIFEST_ACCEPT } from "./manifest-transfer.ts";
import { createPatience, patiently } from "./patience.ts";
import { fetchParsed } from "./pull.ts";
import type { ClientDeps, Remote } from "./remote.ts";

interface Referrer {
  readonly digest: Digest;
  readonly artifactType: string | undefined;
  /** Of its manifest, in bytes. */
  readonly size: number;
}

export interface Description {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly artifactType: string | undefined;
  /** Bytes of its config and layers, as a registry counts them. */
  readonly size: number;
  readonly layers: readonly Descriptor[];
  /** An index's children. */
  readonly manifests: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
  /** All tags that name it; null when there are too many in the repository to ask for each. */
  readonly tags: readonly string[] | null;
  readonly referrers: readonly Referrer[];
}

/** Each tag costs a request. */
const TAGS_MOST = 200;
const PAGES_MOST = 100;

/**
 * What a registry tells of an artifact, over the standard's own routes: whoever may pull may ask.
 * @throws {ProvError} as fetchManifest.
 */
export async function describeArtifact(
  source: Remote,
  reference: string,
  deps: ClientDeps,
  signal?: AbortSignal,
): Promise<Description> {
  const { digest, manifest } = await fetchParsed(source, reference, deps, signal);
  const { mediaType, artifactType, layers, manifests, annotations } = manifest;
  const size = layers.reduce((sum, layer) => sum + layer.size, manifest.config?.size ?? 0);
  const talk = patientTalk(source, deps, signal);
  const tags = await tagsOf(talk, digest);
  const referrers = await referrersOf(talk, digest);
  const parts = { size, layers, manifests, annotations, tags, referrers };
  return { digest, mediaType, artifactType, ...parts };
}

interface Talk extends Conversation {
  readonly registry: string;
}

function patientTalk(source: Remote, deps: ClientDeps, signal: AbortSignal | undefined): Talk {
  const talk = converse(source, "pull", deps);
  const patience = createPatience(deps, "pull", source.repository, signal);
  return {
    registry: source.registry,
    ask: (ask) => patiently(patience, () => talk.ask({ ...ask, signal })),
  };
}

async function tagsOf(talk: Talk, digest: Digest): Promise<string[] | null> {
  const found: string[] = [];
  let seen = 0;
  for await (const page of pages(talk, "tags/list", "tags")) {
    for (const tag of page) {
      if (typeof tag !== "string") continue;
      if (++seen > TAGS_MOST) return null;
      if ((await digestOfTag(talk, tag)) === digest) found.push(tag);
    }
  }
  return found;
}

async function digestOfTag(talk: Talk, tag: string): Promise<string | null> {
  const response = await talk.ask({
    method: "HEAD",
    path: `manifests/${tag}`,
    headers: { accept: MANIFEST_ACCEPT },
    subject: tag,
    expect: [404],
  });
  return response.headers.get("docker-content-digest");
}

/** distribution-spec, "Listing Referrers"; a registry without them has a tag in their place. */
async function referrersOf(talk: Talk, digest: Digest): Promise<Referrer[]> {
  const fallback = `manifests/${digest.replace(":", "-")}`;
  for (const path of [`referrers/${digest}`, fallback]) {
    const found: Referrer[] = [];
    let isThere = false;
    for await (const page of pages(talk, path, "manifests")) {
      isThere = true;
      found.push(...page.flatMap(referrerFrom));
    }
    if (isThere) return found;
  }
  return [];
}

function referrerFrom(value: unknown): Referrer[] {
  const digest = parseDigest(stringAt(value, "digest") ?? "");
  const size = property(value, "size");
  if (digest === undefined || typeof size !== "number") return [];
  return [{ digest, size, artifactType: stringAt(value, "artifactType") || undefined }];
}

/** The lists under `key` of a document and of those its `Link` headers name; none for a 404. */
async function* pages(
  talk: Talk,
  path: string,
  key: string,
): AsyncGenerator<readonly unknown[], undefined> {
  let next: string | undefined = path;
  for (let page = 0; next !== undefined && page < PAGES_MOST; page++) {
    const response: Response = await talk.ask({ path: next, subject: path, expect: [404] });
    if (!response.ok) return undefined;
    const document: unknown = await response.json();
    yield arrayAt(document, key);
    // RFC 8288: `</v2/os/debian/tags/list?last=x>; rel="next"`, relative to the registry.
    const link: string | undefined = /<([^>]+)>\s*;[^,]*rel="?next/.exec(
      response.headers.get("link") ?? "",
    )?.[1];
    next = link === undefined ? undefined : new URL(link, `${talk.registry}/`).href;
  }
  return undefined;
}
