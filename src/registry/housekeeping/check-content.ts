// SPDX-License-Identifier: AGPL-3.0-or-later
import { open, stat } from "node:fs/promises";
import { algorithmOf, type Digest } from "../digest.ts";
import { errnoOf } from "../storage/durable.ts";
import { repositoryBlobPath, storePath } from "../storage/layout.ts";
import type { Throttle } from "./throttle.ts";

/** Little enough for the hash of it to keep nobody waiting. */
const CHUNK_BYTES = 256 * 1024;

/** What the files of one content are. */
export interface Findings {
  /** By path; several may be names of one file. */
  readonly damaged: readonly string[];
  /** Repositories that list it and have no file. */
  readonly missingIn: readonly string[];
  /** Repositories whose file is damaged. */
  readonly damagedIn: readonly string[];
  /** A file with the right bytes, if there is one. */
  readonly good: string | undefined;
}

/** Hashes every file that a content has: one, unless the file system ran out of links. */
export async function checkContent(
  root: string,
  digest: Digest,
  repositories: readonly string[],
  throttle: Throttle,
): Promise<Findings> {
  const verdicts = new Map<string, boolean>();
  const damaged: string[] = [];
  const damagedIn: string[] = [];
  const missingIn: string[] = [];
  let good: string | undefined;
  const look = async (path: string): Promise<boolean | undefined> => {
    const file = await identify(path);
    if (file === undefined) return undefined;
    const verdict = verdicts.get(file) ?? (await isWhole(path, digest, throttle));
    if (verdict === undefined) return undefined;
    verdicts.set(file, verdict);
    if (verdict) good ??= path;
    else damaged.push(path);
    return verdict;
  };
  await look(storePath(root, digest));
  for (const repository of repositories) {
    const verdict = await look(repositoryBlobPath(root, repository, digest));
    if (verdict === undefined) missingIn.push(repository);
    else if (!verdict) damagedIn.push(repository);
  }
  return { damaged, damagedIn, missingIn, good };
}

/** Device and inode. */
async function identify(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(path);
    return `${dev} ${ino}`;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** @returns undefined when the file is gone; false as well when the disk cannot read it. */
async function isWhole(
  path: string,
  digest: Digest,
  throttle: Throttle,
): Promise<boolean | undefined> {
  const algorithm = algorithmOf(digest);
  const hasher = new Bun.CryptoHasher(algorithm);
  try {
    const handle = await open(path, "r");
    try {
      const buffer = new Uint8Array(CHUNK_BYTES);
      for (;;) {
        const { bytesRead } = await handle.read(buffer, 0, buffer.byteLength);
        if (bytesRead === 0) break;
        hasher.update(buffer.subarray(0, bytesRead));
        await throttle(bytesRead);
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT") return undefined;
    // What a medium answers for a bad sector.
    if (code === "EIO") return false;
    throw error;
  }
  return `${algorithm}:${hasher.digest("hex")}` === digest;
}
