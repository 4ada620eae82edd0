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
import { ALGORITHMS, type Digest, parseDigest } from "../digest.ts";
import { parseManifest } from "../manifest.ts";
import { isRepository, isTag } from "../reference.ts";
import { rowOf } from "../routes/manifest-routes.ts";
import { errnoOf } from "./durable.ts";
import { repositoryAt, repositoryBlobPath, repositoryPath } from "./layout.ts";

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
  const named = await readIndex(join(repositoryPath(root, repository), "index.json"));
  for (const digest of await digestsOf(root, repository)) {
    const path = repositoryBlobPath(root, repository, digest);
    const entry = named.get(digest);
    if (entry === undefined) {
      catalog.addBlob(repository, digest, (await stat(path)).size);
      continue;
    }
    const bytes = await Bun.file(path).bytes();
    const manifest = parseManifest(bytes, entry.mediaType);
    catalog.putManifest(repository, rowOf(manifest, digest, bytes.byteLength), entry.tags, now);
  }
}

interface Entry {
  readonly mediaType: string | null;
  readonly tags: string[];
}

async function readIndex(path: string): Promise<ReadonlyMap<Digest, Entry>> {
  const entries = new Map<Digest, Entry>();
  const file = Bun.file(path);
  const index: unknown = (await file.exists()) ? await file.json() : undefined;
  for (const found of arrayAt(index, "manifests")) {
    const digest = parseDigest(stringAt(found, "digest") ?? "");
    if (digest === undefined) continue;
    const entry = entries.get(digest) ?? {
      mediaType: stringAt(found, "mediaType") ?? null,
      tags: [],
    };
    const tag = stringAt(found, "annotations", "org.opencontainers.image.ref.name");
    if (tag !== undefined && isTag(tag)) entry.tags.push(tag);
    entries.set(digest, entry);
  }
  return entries;
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
