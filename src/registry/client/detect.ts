// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What a file is, told by its first bytes. Its name only decides about what is inside of something
 * compressed that cannot be looked into.
 */
import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import type { Compression, Format } from "./media-types.ts";

/** An ISO 9660 volume descriptor, the last of what is looked for, ends well before that. */
export const HEAD_BYTES = 65_536;

export interface Detected {
  readonly format: Format;
  readonly compression: Compression | undefined;
}

/** Unpacks xz, as far as the input goes; then it is an error when that was not its end. */
export type Unxz = (input: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array, undefined>;

const ascii = (text: string): readonly number[] => Array.from(text, (c) => c.charCodeAt(0));

const COMPRESSIONS: readonly (readonly [Compression, readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
];

interface Magic {
  readonly format: Format;
  readonly at: number;
  readonly bytes: readonly number[];
}

/** In this order: an ISO that also boots from a stick begins with an MBR, and some with a GPT. */
const MAGICS: readonly Magic[] = [
  { format: "wim", at: 0, bytes: ascii("MSWIM\0\0\0") },
  { format: "wim", at: 0, bytes: ascii("WLPWM\0\0\0") },
  { format: "qcow2", at: 0, bytes: ascii("QFI\u00fb") },
  { format: "iso", at: 32_769, bytes: ascii("CD001") },
  // The header lies in the second sector: of 512 or of 4096 bytes.
  { format: "raw-disk", at: 512, bytes: ascii("EFI PART") },
  { format: "raw-disk", at: 4096, bytes: ascii("EFI PART") },
];

/**
 * @param head the file's first {@link HEAD_BYTES}, or all of it.
 * @param name what the file is called.
 * @param unxz undefined where there is no xz: then the name decides what an xz file holds.
 */
export async function detectContent(
  head: Uint8Array<ArrayBuffer>,
  name: string,
  unxz?: Unxz,
): Promise<Detected> {
  const [compression] = COMPRESSIONS.find(([, magic]) => hasAt(head, 0, magic)) ?? [];
  if (compression === undefined) return { format: formatOf(head), compression };
  const inner = await unpackedHead(head, compression, unxz);
  const format = inner.byteLength === 0 ? formatByName(name) : formatOf(inner);
  return { format, compression };
}

function formatOf(head: Uint8Array): Format {
  if (isTar(head)) return "tar";
  const known = MAGICS.find(({ at, bytes }) => hasAt(head, at, bytes));
  return known?.format ?? (hasMbr(head) ? "raw-disk" : "other");
}

function hasAt(head: Uint8Array, at: number, bytes: readonly number[]): boolean {
  return bytes.every((byte, i) => head[at + i] === byte);
}

/** POSIX.1 ustar, GNU tar and the old format without a magic all have a sum over their first header. */
function isTar(head: Uint8Array): boolean {
  if (head.byteLength < 512 || head[0] === 0) return false;
  const text = String.fromCharCode(...head.subarray(148, 156));
  const claimed = /^ *([0-7]{1,7})[ \0]/.exec(text)?.[1];
  if (claimed === undefined) return false;
  let sum = 8 * 0x20;
  for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += head[i] ?? 0;
  return sum === Number.parseInt(claimed, 8);
}

const MBR_ENTRIES = [446, 462, 478, 494] as const;

/** 55 AA ends a FAT file system's first sector as well; only a disk has sound partition entries there. */
function hasMbr(head: Uint8Array): boolean {
  if (!hasAt(head, 510, [0x55, 0xaa])) return false;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const isUsed = (at: number) =>
    head[at + 4] !== 0 && view.getUint32(at + 8, true) > 0 && view.getUint32(at + 12, true) > 0;
  const isEmpty = (at: number) => head.subarray(at, at + 16).every((byte) => byte === 0);
  const isSound = (at: number) => isEmpty(at) || (isUsed(at) && ((head[at] ?? 0) & 0x7f) === 0);
  return MBR_ENTRIES.every(isSound) && MBR_ENTRIES.some(isUsed);
}

/** What the first bytes unpack to, up to {@link HEAD_BYTES}; nothing where they cannot be unpacked. */
async function unpackedHead(
  head: Uint8Array<ArrayBuffer>,
  compression: Compression,
  unxz: Unxz | undefined,
): Promise<Uint8Array> {
  if (compression === "xz") {
    return unxz === undefined
      ? new Uint8Array()
      : await firstBytes(unxz(new Blob([head]).stream()));
  }
  const decoder = compression === "gzip" ? createGunzip() : createZstdDecompress();
  return await firstOutput(decoder, head);
}

/** The head is cut off anywhere: what came out before an error counts. */
function firstOutput(decoder: Transform, head: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    decoder.on("data", (chunk: Uint8Array) => {
      chunks.push(chunk);
      size += chunk.byteLength;
      if (size >= HEAD_BYTES) decoder.destroy();
    });
    decoder.on("error", () => decoder.destroy());
    decoder.on("close", () => resolve(Buffer.concat(chunks).subarray(0, HEAD_BYTES)));
    decoder.end(head);
  });
}

async function firstBytes(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of source) {
      chunks.push(chunk);
      size += chunk.byteLength;
      if (size >= HEAD_BYTES) break;
    }
  } catch {
    // The input ends in its middle: that is expected here.
  }
  return Buffer.concat(chunks).subarray(0, HEAD_BYTES);
}

const FORMAT_BY_NAME: readonly (readonly [RegExp, Format])[] = [
  [/\.(?:tar\.\w+|t[gx]z|tzst)$/i, "tar"],
  [/\.(?:img|raw)\.\w+$/i, "raw-disk"],
  [/\.qcow2\.\w+$/i, "qcow2"],
  [/\.iso\.\w+$/i, "iso"],
  [/\.wim\.\w+$/i, "wim"],
];

function formatByName(name: string): Format {
  return FORMAT_BY_NAME.find(([pattern]) => pattern.test(name))?.[1] ?? "other";
}
