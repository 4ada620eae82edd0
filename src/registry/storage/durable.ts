// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * File operations that are on the disk when they resolve: the file and the directory entry.
 */
import { dirname, join } from "node:path";
import { type Disk, realDisk } from "./disk.ts";

/** `code` of a system call's error, such as `ENOENT`. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

export async function syncPath(path: string, disk: Disk = realDisk): Promise<void> {
  const handle = await disk.open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a directory and its missing parents, and syncs each directory that got a new entry. */
export async function makeDirectory(path: string, disk: Disk = realDisk): Promise<void> {
  const first = await disk.mkdir(path, { recursive: true });
  if (first === undefined) return;
  for (let at = path; at.length >= first.length; at = dirname(at))
    await syncPath(dirname(at), disk);
}

/**
 * Gives `from` a second name. Where the file system cannot (another device, or the inode has all
 * the links it may have: 65,000 on ext4) it copies. The caller syncs the directory.
 * @returns false when `to` was there already.
 */
export async function linkOrCopy(
  from: string,
  to: string,
  disk: Disk = realDisk,
): Promise<boolean> {
  try {
    await disk.link(from, to);
    return true;
  } catch (error) {
    const code = errnoOf(error);
    if (code === "EEXIST") return false;
    if (code !== "EMLINK" && code !== "EXDEV" && code !== "EPERM") throw error;
  }
  const copy = join(dirname(to), `.${crypto.randomUUID()}`);
  await disk.copyFile(from, copy);
  await syncPath(copy, disk);
  await disk.rename(copy, to);
  return true;
}

/** Replaces a small file: afterwards the old or the new one is there, and never a part. */
export async function writeWhole(path: string, text: string, disk: Disk = realDisk): Promise<void> {
  // No repository component starts with a dot: the name cannot be someone else's.
  const next = join(dirname(path), `.${crypto.randomUUID()}`);
  const handle = await disk.open(next, "wx");
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await disk.rename(next, path);
  await syncPath(dirname(path), disk);
}

/** @returns false when there was nothing. */
export async function removeFile(path: string, disk: Disk = realDisk): Promise<boolean> {
  try {
    await disk.unlink(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** Removes a directory. @returns false when it has something in it. */
export async function removeEmpty(path: string, disk: Disk = realDisk): Promise<boolean> {
  try {
    await disk.rmdir(path);
    return true;
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT") return true;
    if (code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOTDIR") return false;
    throw error;
  }
}
