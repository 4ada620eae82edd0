// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Who did what in the registry: `<root>/audit/YYYY-MM.jsonl`, one line per event, for their owner alone.
 * Lines are appended and on the disk before the answer that they belong to; nothing changes them
 * afterwards, and whole months go when they are old enough.
 */
import { chmod, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/deps.ts";
import { makeDirectory, removeFile, syncPath } from "../storage/durable.ts";
import type { AuditEvent, AuditPage, AuditQuery } from "./audit-event.ts";
import { readPage } from "./read-page.ts";

export interface AuditLog {
  /** Resolves when the event is on the disk. */
  append(event: AuditEvent): Promise<void>;
  /** @throws {SyntaxError} for a cursor that is not ours. */
  page(query: AuditQuery): Promise<AuditPage>;
  /** Removes the months that are older than is wanted. */
  prune(): Promise<void>;
  /** Resolves when everything is written. */
  close(): Promise<void>;
}

const FILE = /^\d{4}-\d{2}\.jsonl$/;

/** @param months how many are kept, the running one among them; at least 1. */
export async function openAuditLog(root: string, months: number, now: Clock): Promise<AuditLog> {
  const directory = join(root, "audit");
  await makeDirectory(directory);
  await chmod(directory, 0o700);
  const write = createWriter(directory);
  const files = async () => (await readdir(directory)).filter((name) => FILE.test(name)).sort();
  return {
    append(event) {
      const time = new Date(now()).toISOString();
      return write(`${time.slice(0, 7)}.jsonl`, `${JSON.stringify({ time, ...event })}\n`);
    },
    page: async (query) => await readPage(directory, await files(), query),
    async prune() {
      const oldest = oldestKept(now(), months);
      for (const name of await files()) {
        if (name < oldest) await removeFile(join(directory, name));
      }
    },
    close: () => write(null, ""),
  };
}

/** The name of the oldest file that stays. */
function oldestKept(now: number, months: number): string {
  const date = new Date(now);
  const first = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - (months - 1)));
  return `${first.toISOString().slice(0, 7)}.jsonl`;
}

interface Line {
  /** Null: nothing is to be written. */
  readonly file: string | null;
  readonly text: string;
  readonly written: PromiseWithResolvers<void>;
}

/** Whatever comes while the disk is busy is written together, with one sync for all. */
function createWriter(directory: string): (file: string | null, text: string) => Promise<void> {
  let waiting: Line[] = [];
  let isWriting = false;

  async function writeAll(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        await writeBatch(directory, batch);
        for (const { written } of batch) written.resolve();
      } catch (error) {
        for (const { written } of batch) written.reject(error);
      }
    }
    isWriting = false;
  }

  return (file, text) => {
    const written = Promise.withResolvers<void>();
    waiting.push({ file, text, written });
    if (!isWriting) {
      isWriting = true;
      // What fails is told to those who wait for it.
      writeAll().catch(() => undefined);
    }
    return written.promise;
  };
}

async function writeBatch(directory: string, batch: readonly Line[]): Promise<void> {
  for (const [file, lines] of Map.groupBy(batch, (line) => line.file)) {
    if (file !== null) await append(directory, file, lines.map(({ text }) => text).join(""));
  }
}

async function append(directory: string, file: string, text: string): Promise<void> {
  const handle = await open(join(directory, file), "a+", 0o600);
  try {
    const { size } = await handle.stat();
    await handle.appendFile((await endsInside(handle, size)) ? `\n${text}` : text);
    await handle.datasync();
    if (size === 0) await syncPath(directory);
  } finally {
    await handle.close();
  }
}

/** Whether a crash or a full disk has left a line without its end. */
async function endsInside(handle: Awaited<ReturnType<typeof open>>, size: number) {
  if (size === 0) return false;
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer[0] !== 0x0a;
}
