// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * An archive, or the directory of an OCI image layout, opened for reading: its files by name. Nothing is
 * unpacked; a blob is a slice of the archive.
 */
import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import { ProvError } from "../../base/errors.ts";
import { formatBytes } from "../../base/units.ts";
import { algorithmOf, type Digest } from "../digest.ts";
import { blobName, LAYOUT_NAME } from "./archive-plan.ts";
import { readAtOf } from "./read-at.ts";
import { readTar, type TarEntry } from "./tar-reader.ts";

/** A file in an archive. */
interface ArchiveEntry {
  /** For messages: `blobs/sha256/… at offset 1536`. */
  readonly name: string;
  readonly size: number;
  /** Bytes from `start` to before `end`. */
  slice(start: number, end: number): Blob;
}

export interface Archive {
  readonly path: string;
  /** @returns undefined when it has none of this name. */
  entry(name: string): Promise<ArchiveEntry | undefined>;
}

/** Each takes a hundred bytes of memory; a registry with so many blobs is exported in parts. */
const ENTRIES_MAX = 1_000_000;

/** What begins like this is packed once more: first bytes, and the program that unpacks it. */
const PACKED: readonly (readonly [magic: readonly number[], program: string])[] = [
  [[0x1f, 0x8b], "gunzip"],
  [[0x28, 0xb5, 0x2f, 0xfd], "unzstd"],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a], "unxz"],
  [[0x42, 0x5a, 0x68], "bunzip2"],
];

/**
 * @throws {ProvError} `ARTIFACT_INVALID` when it is no archive of artifacts, damaged or hostile.
 * @throws {Error} of the system, when it cannot be read.
 */
export async function openArchive(path: string): Promise<Archive> {
  const archive = (await stat(path)).isDirectory() ? directory(path) : await tarArchive(path);
  if ((await archive.entry(LAYOUT_NAME)) !== undefined) return archive;
  const isDocker = (await archive.entry("manifest.json")) !== undefined;
  throw damaged(
    path,
    isDocker ? "it is in the format of `docker save`" : `it has no ${LAYOUT_NAME}`,
    isDocker
      ? "Convert it: skopeo copy docker-archive:FILE oci-archive:NEW:REPOSITORY:TAG"
      : "It must be the tar archive or the directory of an OCI image layout.",
  );
}

type Place = Pick<TarEntry, "offset" | "size">;

async function tarArchive(path: string): Promise<Archive> {
  const places = await readPlaces(path);
  return {
    path,
    entry(name) {
      const place = places.get(name);
      if (place === undefined) return Promise.resolve(undefined);
      const { offset, size } = place;
      return Promise.resolve({
        name: `${name} at offset ${offset}`,
        size,
        slice: (start, end) => Bun.file(path).slice(offset + start, offset + end),
      });
    },
  };
}

async function readPlaces(path: string): Promise<ReadonlyMap<string, Place>> {
  const places = new Map<string, Place>();
  let odd: TarEntry | undefined;
  const handle = await open(path);
  try {
    const read = readAtOf(handle);
    const { size: length } = await handle.stat();
    refusePacked(path, await read(0, 8));
    for await (const entry of readTar(read, length)) {
      const { name, size, offset } = entry;
      if (places.has(name)) throw new SyntaxError(`it has two entries ${JSON.stringify(name)}`);
      if (places.size === ENTRIES_MAX) throw new SyntaxError("it has too many entries");
      places.set(name, { size, offset });
      if (entry.oddity !== undefined) odd ??= entry;
    }
    // An archive of docker's has links; that it is one is worth more to know.
    if (odd !== undefined && !isDockerArchive(places)) {
      throw new SyntaxError(
        `its entry ${JSON.stringify(odd.name)} at offset ${odd.offset} is ${odd.oddity}`,
      );
    }
  } catch (error) {
    if (error instanceof SyntaxError) throw damaged(path, error.message);
    throw error;
  } finally {
    await handle.close();
  }
  return places;
}

function isDockerArchive(places: ReadonlyMap<string, unknown>): boolean {
  return places.has("manifest.json") && !places.has(LAYOUT_NAME);
}

function directory(path: string): Archive {
  return {
    path,
    async entry(name) {
      const file = Bun.file(join(path, name));
      const found = await file.stat().catch(() => undefined);
      if (found?.isFile() !== true) return undefined;
      return { name, size: found.size, slice: (start, end) => file.slice(start, end) };
    },
  };
}

/** All of a small file. @throws {ProvError} `ARTIFACT_INVALID` when it is longer than `limit` bytes, or not there. */
export async function readEntry(
  archive: Archive,
  name: string,
  limit: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const entry = await archive.entry(name);
  if (entry === undefined) throw damaged(archive.path, `it has no ${name}`);
  if (entry.size > limit) {
    throw damaged(
      archive.path,
      `its ${entry.name} has ${formatBytes(entry.size)}, and ${formatBytes(limit)} are the most`,
    );
  }
  return await entry.slice(0, entry.size).bytes();
}

/** Why an entry is not what its name says. @returns undefined when it is. */
export async function damageOf(archive: Archive, digest: Digest): Promise<string | undefined> {
  const entry = await archive.entry(blobName(digest));
  if (entry === undefined) return `it has no ${blobName(digest)}`;
  const hasher = new Bun.CryptoHasher(algorithmOf(digest));
  for await (const chunk of entry.slice(0, entry.size).stream()) hasher.update(chunk);
  const isRight = `${algorithmOf(digest)}:${hasher.digest("hex")}` === digest;
  return isRight ? undefined : `its entry ${entry.name} is not what its name says`;
}

export function damaged(path: string, why: string, hint?: string): ProvError {
  return new ProvError(`Cannot use the archive ${path}: ${why}`, {
    code: "ARTIFACT_INVALID",
    ...(hint !== undefined && { hint }),
  });
}

function refusePacked(path: string, start: Uint8Array): void {
  const found = PACKED.find(([magic]) => magic.every((byte, i) => start[i] === byte));
  if (found === undefined) return;
  throw damaged(path, "it is compressed", `Unpack it first: ${found[1]} < ${path} > archive.tar`);
}
