// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Files under the root that should not be there: what a crash, or a failure on the way, has left.
 * Only files of a form that prov makes are ever named; everybody else's are left alone.
 */
import type { Dirent, Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import type { Catalog } from "../catalog/catalog.ts";
import { ALGORITHMS, type Digest, parseDigest } from "../digest.ts";
import { errnoOf } from "./durable.ts";
import { repositoryBlobPath, repositoryPath, storePath, uploadPath } from "./layout.ts";

/** How prov calls a file that gets its name when it is whole. */
const TEMPORARY = /^\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const AT_ONCE = 16;

export async function listDirectory(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return [];
    throw error;
  }
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Directories below `top`, relative to it, each after those inside it; `blobs` are not looked into. */
export async function* directoriesBelow(top: string, directory = ""): AsyncGenerator<string> {
  for (const entry of await listDirectory(join(top, directory))) {
    if (!entry.isDirectory() || entry.name === "blobs") continue;
    yield* directoriesBelow(top, join(directory, entry.name));
  }
  if (directory !== "") yield directory;
}

export interface StrayFile {
  /** Below the root. */
  readonly path: string;
  readonly size: number;
}

export interface StrayBlob {
  readonly digest: Digest;
  readonly size: number;
}

/** Content of a repository that the catalog does not list there, untouched since `before`. */
export async function* strayBlobs(
  root: string,
  repository: string,
  catalog: Pick<Catalog, "isListed">,
  before: number,
): AsyncGenerator<StrayBlob | undefined> {
  for (const algorithm of ALGORITHMS) {
    const directory = join(repositoryPath(root, repository), "blobs", algorithm);
    for (const name of await namesIn(directory)) {
      const digest = parseDigest(`${algorithm}:${name}`);
      if (digest === undefined || catalog.isListed(repository, digest)) {
        yield undefined;
        continue;
      }
      const found = await statOf(repositoryBlobPath(root, repository, digest));
      yield found?.isFile() && found.ctimeMs <= before ? { digest, size: found.size } : undefined;
    }
  }
}

/** Content of the store that no repository has a name for, untouched since `before`. */
export async function* unusedContent(
  root: string,
  before: number,
): AsyncGenerator<StrayBlob | undefined> {
  for (const algorithm of ALGORITHMS) {
    const top = dirname(dirname(storePath(root, `${algorithm}:00`)));
    for (const prefix of await namesIn(top)) {
      const digests = (await namesIn(join(top, prefix))).flatMap(
        (name) => parseDigest(`${algorithm}:${name}`) ?? [],
      );
      for (let at = 0; at < digests.length; at += AT_ONCE) {
        const some = digests.slice(at, at + AT_ONCE);
        yield* await Promise.all(some.map((digest) => unusedOf(root, digest, before)));
      }
    }
  }
}

async function unusedOf(
  root: string,
  digest: Digest,
  before: number,
): Promise<StrayBlob | undefined> {
  const found = await statOf(storePath(root, digest));
  const isUnused = found !== undefined && found.nlink === 1 && found.ctimeMs <= before;
  return isUnused ? { digest, size: found.size } : undefined;
}

/** Half-made files and uploads that nobody knows, untouched since `before`. */
export async function* forgottenFiles(
  root: string,
  isUpload: (id: string) => boolean,
  before: number,
): AsyncGenerator<StrayFile | undefined> {
  const uploads = dirname(uploadPath(root, "-"));
  for (const id of await namesIn(uploads)) {
    yield isUpload(id) ? undefined : await oldFile(root, join(uploads, id), before);
  }
  for await (const directory of placesOfTemporaryFiles(root)) {
    for (const name of await namesIn(directory)) {
      yield TEMPORARY.test(name) ? await oldFile(root, join(directory, name), before) : undefined;
    }
  }
}

async function oldFile(root: string, path: string, before: number): Promise<StrayFile | undefined> {
  const found = await statOf(path);
  if (found === undefined || !found.isFile()) return undefined;
  const isOld = found.mtimeMs <= before && found.ctimeMs <= before;
  return isOld ? { path: relative(root, path), size: found.size } : undefined;
}

async function* placesOfTemporaryFiles(root: string): AsyncGenerator<string> {
  yield root;
  const top = repositoryPath(root, "");
  for await (const directory of directoriesBelow(top)) {
    yield join(top, directory);
    for (const algorithm of ALGORITHMS) yield join(top, directory, "blobs", algorithm);
  }
  for (const algorithm of ALGORITHMS) {
    const store = dirname(dirname(storePath(root, `${algorithm}:00`)));
    for (const prefix of await namesIn(store)) yield join(store, prefix);
  }
}
