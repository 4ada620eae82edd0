// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Content as files. The registry reaches blobs only through {@link BlobStorage}, so that an object
 * store can stand behind it. What a call has acknowledged survives a power cut.
 */
import { type FileHandle, open, readdir, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { createKeyedLock, type KeyedLock } from "../../base/keyed-lock.ts";
import type { Algorithm, Digest } from "../digest.ts";
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

interface Disk {
  readonly root: string;
  /** Directories are made one at a time: none is used before its parent's entry is on the disk. */
  readonly directories: KeyedLock;
}

const REHASH_CHUNK_BYTES = 1024 * 1024;

export async function openBlobStorage(root: string): Promise<BlobStorage> {
  await makeDirectory(dirname(uploadPath(root, "-")));
  await makeDirectory(repositoryPath(root, ""));
  const disk: Disk = { root, directories: createKeyedLock() };
  /** Per digest, so that a removal cannot come between a commit's two links. */
  const locks = createKeyedLock();
  return {
    stat: (repository, digest) => sizeOf(repositoryBlobPath(root, repository, digest)),
    read: (repository, digest) => Bun.file(repositoryBlobPath(root, repository, digest)),

    async begin(uploadId) {
      const handle = await open(uploadPath(root, uploadId), "wx");
      await handle.close();
    },
    append: (uploadId, offset) => openWriter(uploadPath(root, uploadId), offset),
    uploadSize: (uploadId) => sizeOf(uploadPath(root, uploadId)),
    readUpload: (uploadId) => Bun.file(uploadPath(root, uploadId)),
    rehash: (uploadId, length, algorithm) =>
      hashFile(uploadPath(root, uploadId), length, algorithm),
    commit: (uploadId, repository, digest) =>
      locks.run(digest, () => commitUpload(disk, uploadId, repository, digest)),
    async cancel(uploadId) {
      await removeFile(uploadPath(root, uploadId));
    },
    uploads: () => readdir(dirname(uploadPath(root, "-"))),

    link: (digest, from, to) => locks.run(digest, () => linkBlob(disk, digest, from, to)),
    delete: (repository, digest) => locks.run(digest, () => deleteBlob(disk, repository, digest)),
    async deleteAll(repository, digests) {
      const paths = digests.map((digest) => repositoryBlobPath(root, repository, digest));
      for (const path of paths) await removeFile(path);
      for (const directory of new Set(paths.map((path) => dirname(path)))) {
        await syncPath(directory);
      }
      for (const digest of digests) {
        await locks.run(digest, () => removeIfUnused(storePath(root, digest)));
      }
    },
    discard: (digest, before) =>
      locks.run(digest, () => removeIfUnused(storePath(root, digest), before)),
    restore: (from, repository, digest) =>
      locks.run(digest, () => addName(disk, from, repositoryBlobPath(root, repository, digest))),
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

async function openWriter(path: string, offset: number): Promise<UploadWriter> {
  const handle = await open(path, "r+");
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
  disk: Disk,
  uploadId: string,
  repository: string,
  digest: Digest,
): Promise<void> {
  const upload = uploadPath(disk.root, uploadId);
  const stored = storePath(disk.root, digest);
  await syncPath(upload);
  await addName(disk, upload, stored);
  await addName(disk, stored, repositoryBlobPath(disk.root, repository, digest));
  await removeFile(upload);
}

async function addName(disk: Disk, from: string, to: string): Promise<void> {
  await makeName(disk, from, to).catch(async (error) => {
    // The directory was empty, and the housekeeping has removed it.
    if (errnoOf(error) !== "ENOENT" || (await sizeOf(from)) === undefined) throw error;
    await makeName(disk, from, to);
  });
}

async function makeName(disk: Disk, from: string, to: string): Promise<void> {
  const directory = dirname(to);
  await disk.directories.run("", () => makeDirectory(directory));
  if (!(await linkOrCopy(from, to)) && (await sizeOf(to)) !== (await sizeOf(from))) {
    // Something outside prov has cut it short: the verified bytes take its place.
    await removeFile(to);
    await linkOrCopy(from, to);
  }
  await syncPath(directory);
}

async function linkBlob(disk: Disk, digest: Digest, from: string, to: string): Promise<boolean> {
  const source = repositoryBlobPath(disk.root, from, digest);
  if ((await sizeOf(source)) === undefined) return false;
  const stored = storePath(disk.root, digest);
  await addName(disk, source, stored);
  await addName(disk, stored, repositoryBlobPath(disk.root, to, digest));
  return true;
}

async function deleteBlob(disk: Disk, repository: string, digest: Digest): Promise<boolean> {
  const path = repositoryBlobPath(disk.root, repository, digest);
  const existed = await removeFile(path);
  if (!existed) return false;
  await syncPath(dirname(path));
  await removeIfUnused(storePath(disk.root, digest));
  return true;
}

/**
 * One link left means that no repository has it, or a copy, which needs no place in the store.
 * @param before nor has anybody touched it since; Unix epoch, ms.
 */
async function removeIfUnused(path: string, before = Number.POSITIVE_INFINITY): Promise<boolean> {
  try {
    const { nlink, ctimeMs } = await stat(path);
    return nlink === 1 && ctimeMs <= before && (await removeFile(path));
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return false;
  }
}
