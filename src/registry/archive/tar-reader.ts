// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What is in a tar archive, and where: nothing is unpacked. Reads ustar, pax and GNU long names and
 * sizes, which is what Go's archive/tar, GNU tar and libarchive write.
 */
import { BLOCK, checksumOf, FIELD, paddingOf } from "./tar-header.ts";
import { parsePax } from "./tar-pax.ts";

/** Anything in an archive but a directory. */
export interface TarEntry {
  /** Relative, without a leading `./`. */
  readonly name: string;
  /** Of the content, in bytes. */
  readonly size: number;
  /** Of the content's first byte in the archive. */
  readonly offset: number;
  /** What it is when it is no regular file: `a symbolic link`. An archive of artifacts has no use for it. */
  readonly oddity?: string;
}

/** Bytes of the archive; fewer than asked for only at its end. */
export type ReadAt = (offset: number, length: number) => Promise<Uint8Array>;

/** Long names and pax records; more of them is no archive of artifacts. */
const META_MAX_BYTES = 64 * 1024;

/** Headers without a file of their own: pax (one file, all files), GNU's long name and long link. */
const META_TYPES = "xgLK";

const ODDITIES: Readonly<Record<string, string>> = {
  "1": "a hard link",
  "2": "a symbolic link",
  "3": "a character device",
  "4": "a block device",
  "6": "a FIFO",
  S: "a sparse file",
  M: "a part of a file from another volume",
};

/** What headers without content of their own say about the entry that follows. */
interface Told {
  readonly name?: string;
  readonly size?: number;
}

/**
 * What is in an archive, in its order. Names are relative and do not lead out of it.
 *
 * @param length of the whole archive, in bytes.
 * @throws {SyntaxError} that names the offset at which the archive is damaged or hostile.
 */
export async function* readTar(read: ReadAt, length: number): AsyncGenerator<TarEntry, undefined> {
  let told: Told = {};
  for (let offset = 0; ; ) {
    const block = await read(offset, BLOCK);
    if (block.byteLength < BLOCK) throw cutOff(offset);
    if (block.every((byte) => byte === 0)) return undefined;
    const header = parseHeader(block, offset);
    const isMeta = META_TYPES.includes(header.type);
    const size = isMeta ? header.size : (told.size ?? header.size);
    requireContent(offset, size, length);
    if (isMeta) {
      told = { ...told, ...(await readMeta(read, header.type, { offset, size })) };
    } else {
      const entry = { name: tidyName(told.name ?? header.name, offset), offset: offset + BLOCK };
      if (!isDirectory(header.type)) yield { ...entry, size, ...oddityOf(header.type) };
      told = {};
    }
    offset += BLOCK + size + paddingOf(size);
  }
}

const NO_TAR = "it is no tar archive";

const cutOff = (offset: number) =>
  new SyntaxError(offset === 0 ? NO_TAR : `it is cut off at offset ${offset}`);

function requireContent(offset: number, size: number, length: number): void {
  const left = length - offset - BLOCK;
  if (size <= left) return;
  throw new SyntaxError(
    `the entry at offset ${offset} has ${size} bytes, and the archive ends after ${left}`,
  );
}

interface Header {
  readonly name: string;
  readonly size: number;
  readonly type: string;
}

function parseHeader(block: Uint8Array, offset: number): Header {
  if (parseNumber(field(block, "checksum")) !== checksumOf(block)) {
    if (offset === 0) throw new SyntaxError(NO_TAR);
    throw new SyntaxError(`the header at offset ${offset} is damaged: its checksum is wrong`);
  }
  const size = parseNumber(field(block, "size"));
  if (size === undefined) throw new SyntaxError(`the header at offset ${offset} has no valid size`);
  const name = parseText(field(block, "name"));
  // GNU tar's own format keeps times where ustar has the prefix.
  const isUstar = parseText(field(block, "magic")) === "ustar";
  const prefix = isUstar ? parseText(field(block, "prefix")) : "";
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    size,
    type: String.fromCharCode(block[FIELD.type[0]] ?? 0),
  };
}

function field(block: Uint8Array, name: keyof typeof FIELD): Uint8Array {
  const [offset, length] = FIELD[name];
  return block.subarray(offset, offset + length);
}

/** Octal digits, or GNU's base-256 when the first bit is set. @returns undefined when it is neither, or negative. */
function parseNumber(bytes: Uint8Array): number | undefined {
  const first = bytes[0] ?? 0;
  if (first < 0x80) {
    const text = parseText(bytes).trim();
    return /^[0-7]*$/.test(text) ? Number.parseInt(text || "0", 8) : undefined;
  }
  let value = first & 0x7f;
  for (const byte of bytes.subarray(1)) value = value * 256 + byte;
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Up to the first NUL. */
function parseText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end === -1 ? bytes : bytes.subarray(0, end)).toString();
}

async function readMeta(
  read: ReadAt,
  type: string,
  { offset, size }: { readonly offset: number; readonly size: number },
): Promise<Told> {
  if (size > META_MAX_BYTES) {
    throw new SyntaxError(`the header at offset ${offset} is ${size} bytes long`);
  }
  const bytes = await read(offset + BLOCK, size);
  if (type === "L") return { name: parseText(bytes) };
  // A long name of a link's target (the link itself is refused), and what holds for all entries.
  if (type === "K" || type === "g") return {};
  const records = parsePax(bytes, offset);
  if ([...records.keys()].some((key) => key.startsWith("GNU.sparse."))) {
    throw new SyntaxError(`the entry at offset ${offset} is a sparse file`);
  }
  const name = records.get("path");
  const length = records.get("size");
  if (length !== undefined && !(/^\d+$/.test(length) && Number.isSafeInteger(Number(length)))) {
    throw new SyntaxError(`the header at offset ${offset} has no valid size`);
  }
  return {
    ...(name !== undefined && { name }),
    ...(length !== undefined && { size: Number(length) }),
  };
}

function tidyName(name: string, offset: number): string {
  const parts = name.split("/").filter((part, i) => part !== "." && (part !== "" || i === 0));
  if (parts[0] === "" || parts.includes("..") || /[\0\\]/.test(name)) {
    throw new SyntaxError(
      `the entry at offset ${offset} has a name that leads out of it: ${JSON.stringify(name.slice(0, 200))}`,
    );
  }
  return parts.join("/");
}

const isDirectory = (type: string) => type === "5";

function oddityOf(type: string): { readonly oddity?: string } {
  if (type === "0" || type === "\0") return {};
  return { oddity: ODDITIES[type] ?? `of the unknown type ${JSON.stringify(type)}` };
}
