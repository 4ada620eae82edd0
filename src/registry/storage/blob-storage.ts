// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Content as files. The registry reaches blobs only through {@link BlobStorage}, so that an object
 * store can stand behind it. What a call has acknowledged survives a power cut.
 */
import { type FileHandle, open, readdir, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createKeyedLock, type KeyedLock } from "../../base/keyed-lock.ts";
import type { Algorithm, Digest } from "../digest.ts";
import { type Disk, realDisk } from "./disk.ts";
import { errnoOf, linkOrCopy, makeDirectory, removeFile, syncPath } from "./durable.ts";
import { repositoryBlobPath, repositoryPath, storePath, uploadPath } from "./layout.ts";

export interface BlobStorage {
  /** Size in bytes, or undefined when the repository has no such content. */
  stat(repository: string, digest: Digest): Promise<number | undefined>;
  /** The content, lazily: a `Response` of it is sent by the kernel. It must exist. */
  read(repository: string, digest: Digest): Blob;

  begin(uploadId: string): Promise<void>;
  /** Opens an upload for appending at `offset`; whatever lies behind it is cut off. */
  append(uploadId: string, offset: number): Promise<UploadWriter>;
  /** Bytes of the upload that are there, or undefined when it is gone. */
  uploadSize(uploadId: string): Promise<number | undefined>;
  /** What of the upload is there now, lazily. */
  readUpload(uploadId: string): Blob;
  /** Hash of the upload's first `length` bytes, ready to go on. */
  rehash(uploadId: string, length: number, algorithm: Algorithm): Promise<Bun.CryptoHasher>;
  /** Makes a finished and verified upload the repository's blob. The upload is gone afterwards. */
  commit(uploadId: string, repository: string, digest: Digest): Promise<void>;
  cancel(uploadId: string): Promise<void>;
  /** Whether it was begun by this process, and has not come to an end. */
  isBegun(uploadId: string): boolean;
  /** Ids of all uploads that take space. */
  uploads(): Promise<readonly string[]>;

  /** Gives content of one repository to another. @returns false when `from` does not have it. */
  link(digest: Digest, from: string, to: string): Promise<boolean>;
  /** @returns false when it was not there. */
  delete(repository: string, digest: Digest): Promise<boolean>;
  /** Deletes many at the price of few. Those that are not there do not matter. */
  deleteAll(repository: string, digests: readonly Digest[]): Promise<void>;
  /**
   * Removes content that no repository has, and that nobody has touched since `before` (Unix epoch, ms).
   * @returns whether it did.
   */
  discard(digest: Digest, before: number): Promise<boolean>;
  /** Gives a repository its content again, from a whole file of it in this storage. */
  restore(from: string, repository: string, digest: Digest): Promise<void>;
  /** Bytes that can still be stored. */
  freeBytes(): Promise<number>;
}

export interface UploadWriter {
  /** Appends; one call at a time. The chunks may be used again once it has resolved. */
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /** Resolves when everything written before the call survives a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

interface Place {
  readonly root: string;
  readonly disk: Disk;
  /** Directories are made one at a time: none is used before its parent's entry is on the disk. */
  readonly directories: KeyedLock;
}

const REHASH_CHUNK_BYTES = 1024 * 1024;

export async function openBlobStorage(root: string, disk: Disk = realDisk): Promise<BlobStorage> {
  await makeDirectory(dirname(uploadPath(root, "-")), disk);
  await makeDirectory(repositoryPath(root, ""), disk);
  const place: Place = { root, disk, directories: createKeyedLock() };
  /** Per digest, so that a removal cannot come between a commit's two links. */
  const locks = createKeyedLock();
  const begun = new Set<string>();
  return {
    stat: (repository, digest) => sizeOf(repositoryBlobPath(root, repository, digest)),
    read: (repository, digest) => Bun.file(repositoryBlobPath(root, repository, digest)),

    async begin(uploadId) {
      begun.add(uploadId);
      const handle = await disk.open(uploadPath(root, uploadId), "wx");
      await handle.close();
    },
    async append(uploadId, offset) {
      const path = uploadPath(root, uploadId);
      await makeOwn(path, disk);
      return await openWriter(path, offset, disk);
    },
    uploadSize: (uploadId) => sizeOf(uploadPath(root, uploadId)),
    readUpload: (uploadId) => Bun.file(uploadPath(root, uploadId)),
    rehash: (uploadId, length, algorithm) =>
      hashFile(uploadPath(root, uploadId), length, algorithm),
    async commit(uploadId, repository, digest) {
      await locks.run(digest, () => commitUpload(place, uploadId, repository, digest));
      begun.delete(uploadId);
    },
    isBegun: (uploadId) => begun.has(uploadId),
    async cancel(uploadId) {
      begun.delete(uploadId);
      await removeFile(uploadPath(root, uploadId), disk);
    },
    uploads: () => readdir(dirname(uploadPath(root, "-"))),

    link: (digest, from, to) => locks.run(digest, () => linkBlob(place, digest, from, to)),
    delete: (repository, digest) => locks.run(digest, () => deleteBlob(place, repository, digest)),
    async deleteAll(repository, digests) {
      const paths = digests.map((digest) => repositoryBlobPath(root, repository, digest));
      const changed = new Set<string>();
      for (const path of paths) {
        if (await removeFile(path, disk)) changed.add(dirname(path));
      }
      for (const directory of changed) await syncPath(directory, disk);
      for (const digest of digests) {
        await locks.run(digest, () => removeIfUnused(storePath(root, digest), disk));
      }
    },
    discard: (digest, before) =>
      locks.run(digest, () => removeIfUnused(storePath(root, digest), disk, before)),
    restore: (from, repository, digest) =>
      locks.run(digest, () => addName(place, from, repositoryBlobPath(root, repository, digest))),
    async freeBytes() {
      const { bavail, bsize } = await statfs(root);
      return bavail * bsize;
    },
  };
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * A commit that was cut short has made a blob of the upload's file, and others may rely on that by now:
 * the upload goes on in a copy.
 */
async function makeOwn(path: string, disk: Disk): Promise<void> {
  if ((await stat(path)).nlink === 1) return;
  const copy = join(dirname(path), `.${crypto.randomUUID()}`);
  try {
    await disk.copyFile(path, copy);
    await disk.rename(copy, path);
  } catch (error) {
    await removeFile(copy, disk);
    throw error;
  }
}

async function openWriter(path: string, offset: number, disk: Disk): Promise<UploadWriter> {
  const handle = await disk.open(path, "r+");
  let position = offset;
  try {
    await handle.truncate(offset);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return {
    async write(chunks) {
      const length = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
      const { bytesWritten } = await handle.writev([...chunks], position);
      // A disk that fills up takes a part and says so only when asked for the rest.
      if (bytesWritten < length) await writeRest(handle, chunks, bytesWritten, position);
      position += length;
    },
    sync: () => handle.datasync(),
    close: () => handle.close(),
  };
}

async function writeRest(
  handle: FileHandle,
  chunks: readonly Uint8Array[],
  written: number,
  position: number,
): Promise<void> {
  const all = Buffer.concat(chunks);
  let done = written;
  while (done < all.byteLength) {
    done += (await handle.write(all, done, all.byteLength - done, position + done)).bytesWritten;
  }
}

async function hashFile(
  path: string,
  length: number,
  algorithm: Algorithm,
): Promise<Bun.CryptoHasher> {
  const hasher = new Bun.CryptoHasher(algorithm);
  const handle = await open(path, "r");
  try {
    const buffer = new Uint8Array(REHASH_CHUNK_BYTES);
    for (let at = 0; at < length; ) {
      const wanted = Math.min(buffer.byteLength, length - at);
      const { bytesRead } = await handle.read(buffer, 0, wanted, at);
      if (bytesRead === 0) throw new RangeError(`${path} ends at ${at} of ${length} bytes`);
      hasher.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
  } finally {
    await handle.close();
  }
  return hasher;
}

/** File first, then its names, then the directories: what is found after a crash is whole. */
async function commitUpload(
  place: Place,
  uploadId: string,
  repository: string,
  digest: Digest,
): Promise<void> {
  const upload = uploadPath(place.root, uploadId);
  const stored = storePath(place.root, digest);
  await syncPath(upload, place.disk);
  await addName(place, upload, stored);
  await addName(place, stored, repositoryBlobPath(place.root, repository, digest));
  await removeFile(upload, place.disk);
}

/** How often the housekeeping may take an empty directory away from under a name that is being made. */
const DIRECTORY_LOST_MAX = 20;

async function addName(place: Place, from: string, to: string): Promise<void> {
  for (let lost = 0; ; lost++) {
    try {
      await makeName(place, from, to);
      return;
    } catch (error) {
      const isLost = errnoOf(error) === "ENOENT" && (await sizeOf(from)) !== undefined;
      if (!isLost || lost >= DIRECTORY_LOST_MAX) throw error;
    }
  }
}

async function makeName(place: Place, from: string, to: string): Promise<void> {
  const directory = dirname(to);
  await place.directories.run("", () => makeDirectory(directory, place.disk));
  const wanted = await sizeOf(from);
  const isNew = await linkOrCopy(from, to, place.disk);
  if (!isNew && wanted !== undefined && (await sizeOf(to)) !== wanted) {
    // Something outside prov has cut it short: the verified bytes take its place.
    await removeFile(to, place.disk);
    await linkOrCopy(from, to, place.disk);
  }
  await syncPath(directory, place.disk);
}

async function linkBlob(place: Place, digest: Digest, from: string, to: string): Promise<boolean> {
  const source = repositoryBlobPath(place.root, from, digest);
  if ((await sizeOf(source)) === undefined) return false;
  const stored = storePath(place.root, digest);
  try {
    await addName(place, source, stored);
    await addName(place, stored, repositoryBlobPath(place.root, to, digest));
    return true;
  } catch (error) {
    // Removed in between: a removal of many takes no lock for each.
    if (errnoOf(error) === "ENOENT" && (await sizeOf(source)) === undefined) return false;
    throw error;
  }
}

async function deleteBlob(place: Place, repository: string, digest: Digest): Promise<boolean> {
  const path = repositoryBlobPath(place.root, repository, digest);
  const existed = await removeFile(path, place.disk);
  if (!existed) return false;
  await syncPath(dirname(path), place.disk);
  await removeIfUnused(storePath(place.root, digest), place.disk);
  return true;
}

/**
 * One link left means that no repository has it, or a copy, which needs no place in the store.
 * @param before nor has anybody touched it since; Unix epoch, ms.
 */
async function removeIfUnused(
  path: string,
  disk: Disk,
  before = Number.POSITIVE_INFINITY,
): Promise<boolean> {
  try {
    const { nlink, ctimeMs } = await stat(path);
    return nlink === 1 && ctimeMs <= before && (await removeFile(path, disk));
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return false;
  }
}
