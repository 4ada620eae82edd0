// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * `index.json` of an archive (OCI image-spec, image-layout.md): what is in it, under which names. The
 * names are the annotation `org.opencontainers.image.ref.name`, as `repository:tag`, or
 * `repository@digest` for what has no tag: signatures, SBOMs and what was asked for by digest.
 */
import { stringAt } from "../../base/json.ts";
import { type Digest, parseDigest } from "../digest.ts";
import { type Descriptor, MEDIA_TYPE, parseManifest } from "../manifest.ts";
import { isRepository, isTag } from "../reference.ts";
import { ANNOTATION } from "../storage/layout.ts";

/** OCI image-spec, image-layout.md, "oci-layout file". */
export const OCI_LAYOUT = '{"imageLayoutVersion":"1.0.0"}';

/** A manifest under its name in a repository. */
export interface Artifact {
  readonly repository: string;
  /** null: it is known by its digest only. */
  readonly tag: string | null;
  readonly digest: Digest;
  readonly mediaType: string;
  /** Of the manifest, in bytes. */
  readonly size: number;
}

export function nameOfArtifact({ repository, tag, digest }: Artifact): string {
  return tag === null ? `${repository}@${digest}` : `${repository}:${tag}`;
}

/** In the order of their names, so that the same artifacts always give the same bytes. */
export function renderIndex(artifacts: readonly Artifact[]): string {
  const named = artifacts.map((artifact) => ({ artifact, name: nameOfArtifact(artifact) }));
  named.sort((a, b) => (a.name < b.name ? -1 : 1));
  const manifests = named.map(({ artifact: { mediaType, digest, size }, name }) => ({
    mediaType,
    digest,
    size,
    annotations: { [ANNOTATION.tag]: name },
  }));
  return JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests });
}

/** @throws {SyntaxError} */
export function parseLayoutVersion(text: string): void {
  const version = stringAt(JSON.parse(text), "imageLayoutVersion");
  if (version !== "1.0.0")
    throw new SyntaxError(`its layout has version ${JSON.stringify(version)}`);
}

/** The descriptors of an archive's index. @throws {SyntaxError} */
export function parseIndex(bytes: Uint8Array): readonly Descriptor[] {
  return parseManifest(bytes, MEDIA_TYPE.index).manifests;
}

/** A name as far as it says something; a host in front is where it came from, not where it goes. */
export interface ArchiveName {
  readonly repository: string | null;
  readonly tag: string | null;
}

/**
 * Reads a descriptor's name as the tools write it: `os/debian:13`, `localhost/os/debian:13`,
 * `os/debian@sha256:…`, and a tag alone.
 * @throws {SyntaxError} when it is none of them.
 */
export function parseArchiveName(text: string): ArchiveName {
  if (isTag(text)) return { repository: null, tag: text };
  const path = text.replace(/^(?:localhost|[a-zA-Z0-9[][^/]*[.:][^/]*)\//, "");
  const [beforeDigest = "", digest] = path.split("@");
  const colon = beforeDigest.lastIndexOf(":");
  const repository = colon === -1 ? beforeDigest : beforeDigest.slice(0, colon);
  // Without both it is `latest`, as everywhere.
  const missing = digest === undefined ? "latest" : null;
  const tag = colon === -1 ? missing : beforeDigest.slice(colon + 1);
  const isDigest = digest === undefined || parseDigest(digest) !== undefined;
  if (isDigest && isRepository(repository) && (tag === null || isTag(tag))) {
    return { repository, tag };
  }
  throw new SyntaxError(`it names an artifact ${JSON.stringify(text.slice(0, 300))}`);
}

/** `sha256-<hex>.sig`: where cosign and clients without the referrers API keep what refers to a manifest. */
const REFERRERS_TAG = /^(sha256|sha512)-([0-9a-f]+)(?:\..+)?$/;

/** The manifest that a tag says it belongs to, by the tag's form (distribution-spec, "Referrers Tag Schema"). */
export function subjectOfTag(tag: string): Digest | undefined {
  const [, algorithm = "", hex = ""] = REFERRERS_TAG.exec(tag) ?? [];
  return parseDigest(`${algorithm}:${hex}`);
}

/** How many `index.json` and its like may have: more is a mistake or an attack. */
export const INDEX_MAX_BYTES = 32 * 1024 * 1024;

/** Whether a descriptor in an index leads to a manifest that prov looks into. */
export function isManifestType(mediaType: string): boolean {
  return Object.values<string>(MEDIA_TYPE).includes(mediaType);
}

/** The blobs a manifest is made of. */
export function blobsOf(manifest: {
  readonly config: Descriptor | undefined;
  readonly layers: readonly Descriptor[];
}): readonly Descriptor[] {
  return [...(manifest.config === undefined ? [] : [manifest.config]), ...manifest.layers];
}
