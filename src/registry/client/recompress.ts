// SPDX-License-Identifier: AGPL-3.0-or-later
import { Readable } from "node:stream";
import { constants, createGunzip, createZstdCompress } from "node:zlib";
import { ProvError } from "../../base/errors.ts";
import type { Unxz } from "./detect.ts";
import type { Compression } from "./media-types.ts";

/** As in the zstd program: what lies above needs a gigabyte of memory. */
export const ZSTD_LEVELS = { least: 1, default: 3, most: 19 } as const;

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
export async function* recompressed(file: Recompression): AsyncGenerator<Uint8Array, undefined> {
  const encoder = createZstdCompress({
    params: {
      [constants.ZSTD_c_compressionLevel]: file.level,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
  const failed = (error: unknown) => void encoder.destroy(asError(error));
  const source = Readable.from(unpacked(file), { objectMode: false });
  source.on("error", failed);
  if (file.compression === "gzip") {
    const decoder = createGunzip();
    decoder.on("error", failed);
    source.pipe(decoder).pipe(encoder);
  } else {
    source.pipe(encoder);
  }
  try {
    for await (const chunk of encoder) yield chunk;
  } finally {
    source.destroy();
  }
  return undefined;
}

/** The file, or what xz makes of it; gzip is undone in the process. */
async function* unpacked({ path, compression, unxz, onRead }: Recompression) {
  const read = counted(Bun.file(path), onRead);
  if (compression !== "xz") {
    yield* read;
    return;
  }
  if (unxz === undefined) {
    throw new ProvError(`Cannot unpack ${path}: there is no xz program here`, {
      code: "COMMAND_FAILED",
      hint: "Install xz-utils, or push the file as it is.",
    });
  }
  yield* unxz(read);
}

async function* counted(file: Blob, onRead: (done: number) => void): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const chunk of file.stream()) {
    done += chunk.byteLength;
    onRead(done);
    yield chunk;
  }
}

const asError = (error: unknown) => (error instanceof Error ? error : new Error(String(error)));
