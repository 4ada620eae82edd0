// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Where things lie under the registry's root:
 *
 *     repos/<name>/{oci-layout,index.json,blobs/<alg>/<hex>}   an OCI image layout per repository
 *     store/<alg>/<hh>/<hex>                                    every content once
 *     uploads/<id>                                              what is being received
 *     index.db                                                  the catalog
 *     policy.json                                               who may do what
 *     audit/<YYYY-MM>.jsonl                                     who did what
 *     lock.db                                                   held by the process that is using all this
 *
 * A blob of a repository is a hard link to its content in the store, so that mounting is a link,
 * equal content takes space once, and skopeo, oras and podman read each repository as it is.
 */
import { join } from "node:path";
import { algorithmOf, type Digest, hexOf } from "../digest.ts";

/** A repository `a/blobs` must not lie inside repository `a`'s own files. */
const RESERVED_COMPONENTS = ["blobs", "index.json", "oci-layout"];

/** Stands behind a reserved component on disk: no component may end in it. */
const ESCAPE = "_";

/** Annotations of the descriptors in a repository's `index.json`. */
export const ANNOTATION = {
  /** OCI image-spec, annotations.md: how every tool finds a tag in a layout. */
  tag: "org.opencontainers.image.ref.name",
  /** When the tag was set (RFC 3339): retention counts from there, also after a rebuild. */
  taggedAt: "vnd.prov.tagged-at",
  /** `true` when upstream decides what the tag names. */
  mirrored: "vnd.prov.mirrored",
} as const;

function directoryOf(repository: string): string {
  return repository
    .split("/")
    .map((part) => (RESERVED_COMPONENTS.includes(part) ? part + ESCAPE : part))
    .join("/");
}

/** The repository whose directory, below `repos/`, this is. */
export function repositoryAt(directory: string): string {
  return directory
    .split("/")
    .map((part) => (part.endsWith(ESCAPE) ? part.slice(0, -ESCAPE.length) : part))
    .join("/");
}

export function repositoryPath(root: string, repository: string): string {
  return join(root, "repos", directoryOf(repository));
}

export function repositoryBlobPath(root: string, repository: string, digest: Digest): string {
  return join(repositoryPath(root, repository), "blobs", algorithmOf(digest), hexOf(digest));
}

export function storePath(root: string, digest: Digest): string {
  const hex = hexOf(digest);
  return join(root, "store", algorithmOf(digest), hex.slice(0, 2), hex);
}

export function uploadPath(root: string, id: string): string {
  return join(root, "uploads", id);
}

export function rootLockPath(root: string): string {
  return join(root, "lock.db");
}

export function catalogPath(root: string): string {
  return join(root, "index.db");
}
