// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Makes a catalog from the layouts on disk: for a registry that was copied or restored without its
 * `index.db`, or whose `index.db` was removed because it was damaged.
 */
import { rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { arrayAt, property, stringAt } from "../../base/json.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { type NewManifest, newManifest } from "../catalog/manifests.ts";
import { ALGORITHMS, algorithmOf, type Digest, digestOf, parseDigest } from "../digest.ts";
import { MANIFEST_MAX_BYTES, MEDIA_TYPE, parseManifest } from "../manifest.ts";
import { isRepository, isTag } from "../reference.ts";
import { errnoOf } from "./durable.ts";
import { ANNOTATION, repositoryAt, repositoryBlobPath, repositoryPath } from "./layout.ts";
import { listDirectory } from "./strays.ts";

export interface Rebuilt {
  readonly repositories: number;
  /** What could not be understood, for people: one sentence each. */
  readonly problems: readonly string[];
}

/**
 * Fills an empty catalog. What `index.json` names is a manifest; every other content of a repository
 * is a blob. Files that are neither are left alone. Everything counts as seen now, so that there is
 * time to look at the problems before garbage is collected.
 */
export async function rebuildCatalog(
  root: string,
  catalog: Catalog,
  now: number,
): Promise<Rebuilt> {
  const problems: string[] = [];
  let repositories = 0;
  for await (const directory of layoutsBelow(repositoryPath(root, ""), "")) {
    const repository = repositoryAt(directory);
    if (!isRepository(repository)) continue;
    await rebuildRepository({ root, repository, now, problems }, catalog);
    repositories++;
  }
  return { repositories, problems };
}

/** One repository that is read. */
interface Reading {
  readonly root: string;
  readonly repository: string;
  readonly now: number;
  readonly problems: string[];
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

async function rebuildRepository(reading: Reading, catalog: Catalog): Promise<void> {
  const { root, repository, now, problems } = reading;
  const digests = await digestsOf(root, repository);
  const named = (await readIndex(reading)) ?? (await guessManifests(reading, digests));
  for (const digest of digests.filter((each) => !named.has(each))) {
    const { size } = await stat(repositoryBlobPath(root, repository, digest));
    catalog.addBlob(repository, digest, size, now);
  }
  const here = new Set(digests);
  for (const [digest, entry] of named) {
    const manifest = here.has(digest)
      ? await readManifest(reading, digest, entry).catch(nullForDamage)
      : null;
    if (manifest === null) {
      problems.push(describeLoss(repository, digest, here.has(digest), entry));
      continue;
    }
    catalog.putManifest(repository, manifest);
    for (const { tag, updatedAt } of entry.mirrored) {
      catalog.setMirroredTag(repository, tag, digest, updatedAt);
    }
  }
}

function describeLoss(
  repository: string,
  digest: Digest,
  isHere: boolean,
  entry: Pick<Entry, "tags" | "mirrored">,
): string {
  const tags = [...entry.tags, ...entry.mirrored].map(({ tag }) => tag).join(", ");
  const state = isHere ? "is damaged" : "is not there";
  return `${repository}: manifest ${digest} ${state}${tags && `; it had the tags ${tags}`}`;
}

/** For what is not as it was written, or on a sector that the disk cannot read. */
function nullForDamage(error: unknown): null {
  if (error instanceof SyntaxError || errnoOf(error) === "EIO") return null;
  throw error;
}

/** For want of a readable `index.json`: what by its own words is a manifest. Tags nobody knows then. */
async function guessManifests(
  { root, repository, problems }: Reading,
  digests: readonly Digest[],
): Promise<ReadonlyMap<Digest, Entry>> {
  const found = new Map<Digest, Entry>();
  for (const digest of digests) {
    const file = Bun.file(repositoryBlobPath(root, repository, digest));
    if (file.size > MANIFEST_MAX_BYTES || file.size === 0) continue;
    const mediaType = ownMediaType((await file.text().catch(nullForDamage)) ?? "");
    if (mediaType !== undefined) found.set(digest, { mediaType, tags: [], mirrored: [] });
  }
  if (digests.length > 0) {
    problems.push(
      `${repository}: index.json cannot be read, its tags are lost; ${found.size} manifests were found without it`,
    );
  }
  return found;
}

function ownMediaType(text: string): string | undefined {
  if (!text.startsWith("{")) return undefined;
  try {
    const mediaType = stringAt(JSON.parse(text), "mediaType");
    return Object.values(MEDIA_TYPE).find((known) => known === mediaType);
  } catch {
    return undefined;
  }
}

/** Adds to a catalog of version 1 what its manifests are made of. */
export async function fillParts(root: string, catalog: Catalog): Promise<void> {
  for (const repository of catalog.repositories()) {
    for (const { digest, mediaType } of catalog.manifests(repository)) {
      const entry = { mediaType, tags: [], mirrored: [] };
      // Since when they are here is in the catalog already.
      const reading = { root, repository, now: 0 };
      catalog.addParts(repository, await readManifest(reading, digest, entry));
    }
  }
}

/** @throws {SyntaxError} when its bytes are not its digest's, or no manifest. */
async function readManifest(
  { root, repository, now }: Omit<Reading, "problems">,
  digest: Digest,
  { mediaType, tags }: Entry,
): Promise<NewManifest> {
  const bytes = await Bun.file(repositoryBlobPath(root, repository, digest)).bytes();
  if (digestOf(bytes, algorithmOf(digest)) !== digest) throw new SyntaxError("it is damaged");
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

/**
 * What `index.json` says; a tag without its time is as old as this call.
 * @returns undefined when it cannot be read. It is put aside then, because a new one will be written.
 */
async function readIndex({
  root,
  repository,
  now,
}: Reading): Promise<ReadonlyMap<Digest, Entry> | undefined> {
  const entries = new Map<Digest, Entry>();
  const path = join(repositoryPath(root, repository), "index.json");
  const file = Bun.file(path);
  if (!(await file.exists())) return undefined;
  const index: unknown = await file.json().catch(nullForDamage);
  if (!Array.isArray(property(index, "manifests"))) {
    await rename(path, `${path}.damaged-${now}`);
    return undefined;
  }
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
