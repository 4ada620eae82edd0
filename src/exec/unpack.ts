// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import type { Millis } from "../base/units.ts";
import { type Extraction, MAGIC_BYTES, startExtraction } from "./tar.ts";

export interface UnpackOptions {
  /** The compressed tarball. Its errors, a wrong digest among them, end the unpacking. */
  readonly stream: ReadableStream<Uint8Array>;
  /** What it is called in messages. */
  readonly artifact: string;
  /** An existing directory. */
  readonly into: string;
  readonly timeout: Millis;
  readonly signal?: AbortSignal;
  /** Called with the bytes taken from the stream so far. */
  readonly onBytes?: (done: number) => void;
}

/**
 * Streams a tarball into a directory with bounded memory and no copy on the way.
 *
 * Returning means that tar wrote everything and that the stream came to its end without an error (its digest
 * was right): tar itself stops reading at the archive's end mark, which may come before.
 *
 * @throws {ProvError} `ARTIFACT_INVALID` (not a tarball, damaged), `DISK_FULL`, `COMMAND_TIMED_OUT`,
 *   `COMMAND_FAILED`, or what the stream throws.
 */
export async function unpack(options: UnpackOptions): Promise<void> {
  const reader = options.stream.getReader();
  let timedOut = false;
  let extraction: Extraction | undefined;
  // A read that waits for the network ends when its stream is cancelled, and the children when they are killed.
  const stop = () => {
    extraction?.kill();
    void reader.cancel().catch(() => {});
  };
  const timer = setTimeout(() => {
    timedOut = true;
    stop();
  }, options.timeout);
  options.signal?.addEventListener("abort", stop, { once: true });
  try {
    options.signal?.throwIfAborted();
    const head = await readHead(reader);
    extraction = startExtraction(head, options.into);
    await feed(extraction, head, reader, options);
    options.signal?.throwIfAborted();
    if (timedOut) {
      const message = `Cannot unpack ${options.artifact}: not done in time`;
      throw new ProvError(message, { code: "COMMAND_TIMED_OUT" });
    }
    const failure = await extraction.failure(options.artifact);
    if (failure !== undefined) throw failure;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", stop);
    stop();
  }
}

interface Reader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

/** The first bytes, enough to tell the compression by. */
async function readHead(reader: Reader): Promise<Uint8Array> {
  let head = new Uint8Array();
  while (head.length < MAGIC_BYTES) {
    const { done, value } = await reader.read();
    if (done || value === undefined) break;
    head = Buffer.concat([head, value]);
  }
  return head;
}

/** Waits for the pipe after every chunk: what has not been unpacked is not read from the network either. */
async function feed(
  extraction: Extraction,
  head: Uint8Array,
  reader: Reader,
  { artifact, onBytes }: UnpackOptions,
): Promise<void> {
  const write = writerOf(extraction);
  // An extraction that failed makes the rest of the stream worthless.
  const watch = extraction.ended.then(async () => {
    if ((await extraction.failure(artifact)) !== undefined) await reader.cancel().catch(() => {});
  });
  let done = 0;
  let chunk: Uint8Array | undefined = head;
  while (chunk !== undefined) {
    await write(chunk);
    done += chunk.length;
    onBytes?.(done);
    chunk = (await reader.read()).value;
  }
  await endOf(extraction);
  await watch;
}

/**
 * Resolves when the chunk is in the pipe, or when nobody reads the pipe any more: a flush into a pipe without
 * a reader does not always settle. One waiter is registered for all chunks; racing each of them against the
 * end would keep them all in memory until then.
 */
function writerOf(extraction: Extraction): (chunk: Uint8Array) => Promise<void> {
  let wake = () => {};
  void extraction.ended.then(() => wake());
  return (chunk) =>
    new Promise((resolve) => {
      wake = resolve;
      if (!extraction.isReading()) {
        resolve();
        return;
      }
      try {
        extraction.stdin.write(chunk);
        // EPIPE: the children's exit codes tell why.
        Promise.resolve(extraction.stdin.flush()).then(
          () => resolve(),
          () => resolve(),
        );
      } catch {
        resolve();
      }
    });
}

async function endOf(extraction: Extraction): Promise<void> {
  try {
    await extraction.stdin.end();
  } catch {
    // EPIPE, as above.
  }
}
