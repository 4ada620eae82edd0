// SPDX-License-Identifier: AGPL-3.0-or-later
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { stringAt } from "../../base/json.ts";
import type { AuditEntry, AuditPage, AuditQuery } from "./audit-event.ts";

const CHUNK_BYTES = 64 * 1024;
/** So much is looked through for one page; whoever looks for something rare asks again. */
const PAGE_BYTES_MAX = 32 * 1024 * 1024;
/** Behind every file that there will be. */
const NEWEST = { file: "9999-99.jsonl", offset: Number.MAX_SAFE_INTEGER };

interface Position {
  readonly file: string;
  /** Lines that begin before this byte are older. */
  readonly offset: number;
}

/**
 * Reads lines backwards from a position, through older files as well.
 * @param files names in `directory`, oldest first.
 * @throws {SyntaxError} for a cursor that is not ours.
 */
export async function readPage(
  directory: string,
  files: readonly string[],
  query: AuditQuery,
): Promise<AuditPage> {
  const from = query.before === undefined ? NEWEST : parseCursor(query.before);
  const entries: AuditEntry[] = [];
  let looked = 0;
  for (const file of files.filter((name) => name <= from.file).reverse()) {
    const start = file === from.file ? from.offset : Number.MAX_SAFE_INTEGER;
    await using lines = await openBackwards(join(directory, file), start);
    for await (const { offset, text } of lines.read()) {
      looked += text.length;
      const entry = parseEntry(text);
      if (entry !== undefined && isWanted(entry, query)) entries.push(entry);
      if (entries.length < query.limit && looked < PAGE_BYTES_MAX) continue;
      return { entries, cursor: `${file.slice(0, 7)}.${offset}` };
    }
  }
  return { entries, cursor: null };
}

function parseCursor(text: string): Position {
  const match = /^(\d{4}-\d{2})\.(\d{1,15})$/.exec(text);
  if (match === null) throw new SyntaxError("that is no cursor of the audit log");
  return { file: `${match[1]}.jsonl`, offset: Number(match[2]) };
}

/** @returns undefined for what a crash has left of a line. */
function parseEntry(text: string): AuditEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return stringAt(value, "time") === undefined ? undefined : (value as AuditEntry);
}

function isWanted(entry: AuditEntry, { repository, identity }: AuditQuery): boolean {
  if (repository !== undefined && entry.repository !== repository) return false;
  return identity === undefined || entry.identity === identity;
}

async function openBackwards(path: string, end: number) {
  const handle = await open(path, "r");
  return {
    read: () => backwards(handle, end),
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** The lines that begin before `end`, last first, each with its place in the file. */
async function* backwards(handle: FileHandle, end: number) {
  const { size } = await handle.stat();
  let at = Math.min(end, size);
  let rest: Buffer = Buffer.alloc(0);
  while (at > 0) {
    const length = Math.min(CHUNK_BYTES, at);
    at -= length;
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, at);
    rest = Buffer.concat([buffer, rest]);
    for (;;) {
      const newline = rest.lastIndexOf(0x0a, rest.length - 2);
      if (newline === -1 || rest.length < 2) break;
      yield lineOf(rest, newline + 1, at);
      rest = rest.subarray(0, newline + 1);
    }
  }
  if (rest.length > 0) yield lineOf(rest, 0, 0);
}

const lineOf = (bytes: Buffer, start: number, base: number) => ({
  offset: base + start,
  text: bytes.toString("utf8", start).trimEnd(),
});
