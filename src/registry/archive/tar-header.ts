// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The headers of a tar archive as prov writes it (POSIX.1-2017, pax, "ustar Interchange Format" and
 * "pax Header Block"): regular files only, everything that could differ between two runs fixed.
 */

export const BLOCK = 512;

/** Two blocks of zeros end an archive. */
export const END_BYTES = 2 * BLOCK;

/** Where the fields of a header are: offset and length in bytes. */
export const FIELD = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  magic: [257, 8],
  major: [329, 8],
  minor: [337, 8],
  prefix: [345, 155],
} as const satisfies Record<string, readonly [offset: number, length: number]>;

/** The largest number that eleven octal digits hold: 8 GiB - 1. */
const OCTAL_MAX = 0o77777777777;

/**
 * The header of a regular file. A name longer than 100 bytes or a size of 8 GiB and more is said in a
 * pax header before it, which GNU tar, libarchive and Go's archive/tar all read.
 *
 * @param name ASCII.
 */
export function tarHeader(name: string, size: number): Uint8Array<ArrayBuffer> {
  const records = [
    ...(name.length > FIELD.name[1] ? [paxRecord("path", name)] : []),
    ...(size > OCTAL_MAX ? [paxRecord("size", `${size}`)] : []),
  ].join("");
  const own = headerBlock(name.slice(-FIELD.name[1]), size > OCTAL_MAX ? 0 : size, "0");
  if (records === "") return own;
  const pax = Buffer.from(records);
  const header = headerBlock(`PaxHeaders/${name}`.slice(0, FIELD.name[1]), pax.length, "x");
  return Buffer.concat([header, pax, new Uint8Array(paddingOf(pax.length)), own]);
}

/** Zeros after content of `size` bytes, up to the next block. */
export function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

/** The sum of a header's bytes, its own field taken as spaces. */
export function checksumOf(block: Uint8Array): number {
  const [start, length] = FIELD.checksum;
  let sum = 0;
  for (const [i, byte] of block.entries()) {
    sum += i >= start && i < start + length ? 0x20 : byte;
  }
  return sum;
}

function headerBlock(name: string, size: number, type: "0" | "x"): Buffer<ArrayBuffer> {
  const block = Buffer.alloc(BLOCK);
  const put = ([offset]: readonly [number, number], text: string) => block.write(text, offset);
  put(FIELD.name, name);
  put(FIELD.mode, "0000644");
  put(FIELD.uid, "0000000");
  put(FIELD.gid, "0000000");
  put(FIELD.size, size.toString(8).padStart(11, "0"));
  put(FIELD.mtime, "00000000000");
  put(FIELD.type, type);
  put(FIELD.magic, "ustar\u000000");
  put(FIELD.major, "0000000");
  put(FIELD.minor, "0000000");
  put(FIELD.checksum, `${checksumOf(block).toString(8).padStart(6, "0")}\0 `);
  return block;
}

/** `<length> <key>=<value>\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (`${length}${rest}`.length !== length) length = `${length}${rest}`.length;
  return `${length}${rest}`;
}
