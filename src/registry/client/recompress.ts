// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Transform } from "node:stream";
import { constants, createGunzip, createZstdCompress } from "node:zlib";
import { ProvError } from "../../base/errors.ts";
import type { Unxz } from "./detect.ts";
import type { Compression } from "./media-types.ts";
import { readFile } from "./read-file.ts";

/** As in the zstd program: what lies above needs a gigabyte of memory. */
export const ZSTD_LEVELS = { least: 1, default: 3, most: 19 } as const;

const BLOCK_BYTES = 256 * 1024;

export interface Recompression {
  readonly path: string;
  /** What the file is packed with now. */
  readonly compression: Exclude<Compression, "zstd"> | undefined;
  readonly level: number;
  readonly unxz: Unxz | undefined;
  /** Bytes of the file that have been read so far. */
  readonly onRead: (done: number) => void;
}

/**
 * The file's content as one zstd frame with a checksum. The same file and level give the same bytes
 * each time, and a slow reader slows everything down to the file.
 *
 * @throws {ProvError} `COMMAND_FAILED` where an xz file cannot be unpacked here.
 */
export function recompressed(file: Recompression): AsyncGenerator<Uint8Array, undefined> {
  const encoder = createZstdCompress({
    params: {
      [constants.ZSTD_c_compressionLevel]: file.level,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
  return through(encoder, inBlocks(unpacked(file)));
}

function unpacked(file: Recompression): AsyncGenerator<Uint8Array, undefined> {
  const { path, compression, unxz, onRead } = file;
  const packed = readFile(path, onRead);
  if (compression === undefined) return packed;
  if (compression === "gzip") return through(createGunzip(), packed);
  if (unxz !== undefined) return unxz(copied(packed));
  throw new ProvError(`Cannot unpack ${path}: there is no xz program here`, {
    code: "COMMAND_FAILED",
    hint: "Install xz-utils, or push the file as it is.",
  });
}

/** What comes out of `transform`. A piece of `source` has been taken in when the next one is asked for. */
async function* through(
  transform: Transform,
  source: AsyncGenerator<Uint8Array, undefined>,
): AsyncGenerator<Uint8Array, undefined> {
  void feed(transform, source);
  try {
    for await (const chunk of transform) yield chunk;
  } finally {
    transform.destroy();
    await source.return(undefined);
  }
  return undefined;
}

/** Never rejects: what goes wrong comes out of `transform`. */
async function feed(transform: Transform, source: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const piece of source) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      transform.write(piece, (error) => (error == null ? resolve() : reject(error)));
      await promise;
    }
    transform.end();
  } catch (error) {
    transform.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

/** What zstd makes of something depends on the pieces it gets it in: these are always the same. */
async function* inBlocks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
  const block = new Uint8Array(BLOCK_BYTES);
  let filled = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.byteLength; ) {
      const part = chunk.subarray(at, at + BLOCK_BYTES - filled);
      block.set(part, filled);
      at += part.byteLength;
      filled += part.byteLength;
      if (filled < BLOCK_BYTES) continue;
      yield block;
      filled = 0;
    }
  }
  if (filled > 0) yield block.subarray(0, filled);
  return undefined;
}

async function* copied(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) yield chunk.slice();
}
