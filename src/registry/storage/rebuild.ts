// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Makes a catalog from the layouts on disk: for a registry that was copied or restored without its
 * `index.db`, or whose `index.db` was removed because it was damaged.
 */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { arrayAt, stringAt } from "../../base/json.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { type NewManifest, newManifest } from "../catalog/manifests.ts";
import { ALGORITHMS, type Digest, parseDigest } from "../digest.ts";
import { parseManifest } from "../manifest.ts";
import { isRepository, isTag } from "../reference.ts";
import { errnoOf } from "./durable.ts";
import { ANNOTATION, repositoryAt, repositoryBlobPath, repositoryPath } from "./layout.ts";

/**
 * Fills an empty catalog. What `index.json` names is a manifest; every other content of a repository
 * is a blob. Files that are neither are left alone.
 * @returns the number of repositories found.
 */
export async function rebuildCatalog(root: string, catalog: Catalog, now: number): Promise<number> {
  let found = 0;
  for await (const directory of layoutsBelow(repositoryPath(root, ""), "")) {
    const repository = repositoryAt(directory);
    if (!isRepository(repository)) continue;
    await rebuildRepository(root, repository, catalog, now);
    found++;
  }
  return found;
}

/** Directories that have a `blobs` of their own, relative to `top`. */
async function* layoutsBelow(top: string, directory: string): AsyncGenerator<string> {
  const entries = await listDirectory(join(top, directory));
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  if (names.includes("blobs")) yield directory;
  for (const name of names) {
    if (name !== "blobs") yield* layoutsBelow(top, join(directory, name));
  }
}

async function listDirectory(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

async function rebuildRepository(
  root: string,
  repository: string,
  catalog: Catalog,
  now: number,
): Promise<void> {
  const named = await readIndex(root, repository, now);
  const digests = await digestsOf(root, repository);
  for (const digest of digests.filter((each) => !named.has(each))) {
    const { size, mtimeMs } = await stat(repositoryBlobPath(root, repository, digest));
    catalog.addBlob(repository, digest, size, Math.round(mtimeMs));
  }
  for (const digest of digests) {
    const entry = named.get(digest);
    if (entry === undefined) continue;
    catalog.putManifest(repository, await readManifest(root, repository, digest, entry));
    for (const { tag, updatedAt } of entry.mirrored) {
      catalog.setMirroredTag(repository, tag, digest, updatedAt);
    }
  }
}

/** Adds to a catalog of version 1 what its manifests are made of. */
export async function fillParts(root: string, catalog: Catalog): Promise<void> {
  for (const repository of catalog.repositories()) {
    for (const { digest, mediaType } of catalog.manifests(repository)) {
      const entry = { mediaType, tags: [], mirrored: [] };
      catalog.addParts(repository, await readManifest(root, repository, digest, entry));
    }
  }
}

async function readManifest(
  root: string,
  repository: string,
  digest: Digest,
  { mediaType, tags }: Entry,
): Promise<NewManifest> {
  const path = repositoryBlobPath(root, repository, digest);
  const bytes = await Bun.file(path).bytes();
  const now = Math.round((await stat(path)).mtimeMs);
  const manifest = parseManifest(bytes, mediaType);
  // One whose blobs are gone is still what was pushed.
  const blobs: Digest[] = [];
  return newManifest(manifest, { digest, size: bytes.byteLength, tags, blobs, now });
}

interface SetTag {
  readonly tag: string;
  readonly updatedAt: number;
}

interface Entry {
  readonly mediaType: string | null;
  /** Pushed here. */
  readonly tags: SetTag[];
  /** Decided by upstream. */
  readonly mirrored: SetTag[];
}

/** What `index.json` says; a tag without its time is as old as this call. */
async function readIndex(
  root: string,
  repository: string,
  now: number,
): Promise<ReadonlyMap<Digest, Entry>> {
  const entries = new Map<Digest, Entry>();
  const file = Bun.file(join(repositoryPath(root, repository), "index.json"));
  const index: unknown = (await file.exists()) ? await file.json() : undefined;
  for (const found of arrayAt(index, "manifests")) {
    const digest = parseDigest(stringAt(found, "digest") ?? "");
    if (digest === undefined) continue;
    const entry = entries.get(digest) ?? {
      mediaType: stringAt(found, "mediaType") ?? null,
      tags: [],
      mirrored: [],
    };
    const set = readTag(found, now);
    const isMirrored = stringAt(found, "annotations", ANNOTATION.mirrored) === "true";
    if (set !== undefined) (isMirrored ? entry.mirrored : entry.tags).push(set);
    entries.set(digest, entry);
  }
  return entries;
}

function readTag(descriptor: unknown, now: number): SetTag | undefined {
  const tag = stringAt(descriptor, "annotations", ANNOTATION.tag);
  if (tag === undefined || !isTag(tag)) return undefined;
  const at = Date.parse(stringAt(descriptor, "annotations", ANNOTATION.taggedAt) ?? "");
  return { tag, updatedAt: Number.isNaN(at) ? now : at };
}

async function digestsOf(root: string, repository: string): Promise<Digest[]> {
  const found: Digest[] = [];
  for (const algorithm of ALGORITHMS) {
    const directory = join(repositoryPath(root, repository), "blobs", algorithm);
    for (const { name } of await listDirectory(directory)) {
      const digest = parseDigest(`${algorithm}:${name}`);
      if (digest !== undefined) found.push(digest);
    }
  }
  return found;
}
