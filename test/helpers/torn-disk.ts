// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A disk that remembers everything that is done to it, and can say afterwards what a power cut would
 * have left at any moment: for certain what was synced, and of the rest nothing or anything.
 */
import { existsSync, readFileSync } from "node:fs";
import * as fs from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import type { Disk } from "../../src/registry/storage/disk.ts";

type Operation =
  | { readonly kind: "create"; readonly path: string; readonly inode: number }
  | {
      readonly kind: "write";
      readonly inode: number;
      readonly at: number;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: "truncate"; readonly inode: number; readonly size: number }
  | { readonly kind: "sync"; readonly inode: number }
  | { readonly kind: "mkdir" | "unlink" | "sync-directory"; readonly path: string }
  | { readonly kind: "link" | "rename"; readonly from: string; readonly path: string }
  | { readonly kind: "mark" };

/** A moment, with what lies beside the files: the database as it was then. */
interface Moment {
  readonly operation: Operation;
  readonly beside: ReadonlyMap<string, Uint8Array>;
}

export interface TornDisk {
  readonly disk: Disk;
  readonly moments: readonly Moment[];
  /** Notes the moment, as when an answer is given. */
  mark(): void;
  /**
   * Makes a directory as a power cut would have left it after so many operations.
   * @param unsynced `lost`: only what was synced is there. `torn`: names are there that were not
   *   synced, and files that were not have zeros for bytes.
   */
  restore(count: number, unsynced: "lost" | "torn", target: string): Promise<void>;
}

/** @param beside names below the root that go their own way: copied whole at each moment. */
export function createTornDisk(root: string, beside: readonly string[]): TornDisk {
  const moments: Moment[] = [];
  const inodes = new Map<string, number>();
  let next = 0;

  /** In one go: another operation may come to its end at any await, and must not be noted before. */
  function note(operation: Operation): void {
    const copies = beside.flatMap((name) => {
      const path = join(root, name);
      return existsSync(path) ? [[name, new Uint8Array(readFileSync(path))] as const] : [];
    });
    moments.push({ operation, beside: new Map(copies) });
  }

  function inodeOf(path: string): number {
    const inode = inodes.get(path);
    if (inode === undefined) throw new RangeError(`${path} was not made on this disk`);
    return inode;
  }

  const disk = {
    async open(path: string, flags: string) {
      const handle = await fs.open(path, flags);
      if ((await handle.stat()).isDirectory()) {
        return Object.assign(Object.create(handle), {
          close: () => handle.close(),
          async sync() {
            await handle.sync();
            note({ kind: "sync-directory", path });
          },
        });
      }
      if (flags === "wx") {
        inodes.set(path, next);
        note({ kind: "create", path, inode: next++ });
      }
      return watchHandle(handle, inodeOf(path), note);
    },
    async link(from: string, path: string) {
      await fs.link(from, path);
      inodes.set(path, inodeOf(from));
      note({ kind: "link", from, path });
    },
    async rename(from: string, path: string) {
      await fs.rename(from, path);
      inodes.set(path, inodeOf(from));
      inodes.delete(from);
      note({ kind: "rename", from, path });
    },
    async unlink(path: string) {
      await fs.unlink(path);
      inodes.delete(path);
      note({ kind: "unlink", path });
    },
    async rmdir(path: string) {
      await fs.rmdir(path);
      note({ kind: "unlink", path });
    },
    async mkdir(path: string) {
      const first = await fs.mkdir(path, { recursive: true });
      const made: string[] = [];
      if (first !== undefined) {
        for (let at = path; at.length >= first.length; at = dirname(at)) made.unshift(at);
      }
      for (const each of made) note({ kind: "mkdir", path: each });
      return first;
    },
    copyFile: () => Promise.reject(new TypeError("This disk has hard links")),
  } as unknown as Disk;

  return {
    disk,
    moments,
    mark: () => note({ kind: "mark" }),
    restore: (count, unsynced, target) =>
      restore(root, moments.slice(0, count), unsynced === "lost", target),
  };
}

function watchHandle(handle: fs.FileHandle, inode: number, note: (operation: Operation) => void) {
  const written = (at: number, bytes: Uint8Array) =>
    note({ kind: "write", inode, at, bytes: bytes.slice() });
  const synced = async (sync: Promise<void>) => {
    await sync;
    note({ kind: "sync", inode });
  };
  return {
    close: () => handle.close(),
    sync: () => synced(handle.sync()),
    datasync: () => synced(handle.datasync()),
    async truncate(size: number) {
      await handle.truncate(size);
      note({ kind: "truncate", inode, size });
    },
    async writev(chunks: Uint8Array[], at: number) {
      const bytes = Buffer.concat(chunks);
      const result = await handle.writev(chunks, at);
      await written(at, bytes.subarray(0, result.bytesWritten));
      return result;
    },
    async writeFile(text: string) {
      await handle.writeFile(text);
      await written(0, new TextEncoder().encode(text));
    },
  };
}

interface FileState {
  now: Uint8Array;
  synced: Uint8Array;
}

/** What there is, by path: a file's inode, or null for a directory. */
type Names = Map<string, number | null>;

async function restore(
  root: string,
  moments: readonly Moment[],
  isLost: boolean,
  target: string,
): Promise<void> {
  const files = new Map<number, FileState>();
  const names: Names = new Map();
  const synced: Names = new Map();
  for (const { operation } of moments) apply(operation, files, names, synced);
  const moved = (path: string) => join(target, relative(root, path));
  const firsts = new Map<number, string>();
  const found = isLost ? synced : names;
  for (const [path, inode] of [...found].toSorted(([a], [b]) => a.length - b.length)) {
    if (!isLost || isBelowSynced(root, path, synced)) {
      await place(moved(path), inode, files, firsts, isLost);
    }
  }
  for (const [name, bytes] of moments.at(-1)?.beside ?? []) {
    await Bun.write(join(target, name), bytes);
  }
}

async function place(
  path: string,
  inode: number | null,
  files: ReadonlyMap<number, FileState>,
  firsts: Map<number, string>,
  isLost: boolean,
): Promise<void> {
  if (inode === null) {
    await fs.mkdir(path, { recursive: true });
    return;
  }
  const first = firsts.get(inode);
  if (first !== undefined) {
    await fs.link(first, path);
    return;
  }
  const { now, synced } = files.get(inode) ?? { now: new Uint8Array(), synced: new Uint8Array() };
  const torn = new Uint8Array(now.byteLength);
  torn.set(synced.subarray(0, torn.byteLength));
  await Bun.write(path, isLost ? synced : torn);
  firsts.set(inode, path);
}

function isBelowSynced(root: string, path: string, synced: Names): boolean {
  for (let at = dirname(path); at.length > root.length; at = dirname(at)) {
    if (!synced.has(at)) return false;
  }
  return true;
}

function apply(
  operation: Operation,
  files: Map<number, FileState>,
  names: Names,
  synced: Names,
): void {
  switch (operation.kind) {
    case "create":
      names.set(operation.path, operation.inode);
      files.set(operation.inode, { now: new Uint8Array(), synced: new Uint8Array() });
      break;
    case "mkdir":
      names.set(operation.path, null);
      break;
    case "unlink":
      names.delete(operation.path);
      break;
    case "link":
    case "rename":
      names.set(operation.path, names.get(operation.from) ?? null);
      if (operation.kind === "rename") names.delete(operation.from);
      break;
    case "sync-directory":
      syncDirectory(operation.path, names, synced);
      break;
    case "mark":
      break;
    default:
      change(operation, files);
  }
}

function change(
  operation: Extract<Operation, { readonly inode: number }>,
  files: ReadonlyMap<number, FileState>,
): void {
  const file = files.get(operation.inode);
  if (file === undefined) return;
  if (operation.kind === "sync") file.synced = file.now.slice();
  if (operation.kind === "truncate") {
    const cut = new Uint8Array(operation.size);
    cut.set(file.now.subarray(0, operation.size));
    file.now = cut;
  }
  if (operation.kind === "write") {
    const end = operation.at + operation.bytes.byteLength;
    const grown = new Uint8Array(Math.max(file.now.byteLength, end));
    grown.set(file.now);
    grown.set(operation.bytes, operation.at);
    file.now = grown;
  }
}

function syncDirectory(directory: string, names: Names, synced: Names): void {
  for (const path of synced.keys()) {
    if (dirname(path) === directory && !names.has(path)) synced.delete(path);
  }
  for (const [path, inode] of names) if (dirname(path) === directory) synced.set(path, inode);
}
