// SPDX-License-Identifier: AGPL-3.0-or-later

/** Enough for one system call to be worth it, little enough to hold for many uploads at once. */
const BATCH_BYTES = 256 * 1024;
/** A client that sends tiny pieces must not make a longer list than writev(2) takes. */
const BATCH_CHUNKS = 256;

export interface Sink {
  /**
   * Called with the chunks in order, one call at a time; may still run while more is read. The chunks
   * are gone once it has resolved.
   */
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /** Called with every chunk before it is written. */
  hash(chunk: Uint8Array): void;
}

/**
 * Reads a body to its end into `sink`, with one write in flight while the next batch is read: a
 * slow disk stops the reading, and with it the client.
 *
 * @param stop ends the reading early; what has come until then is written.
 * @returns whether the body came to its own end. Even then it may be cut short: a broken chunked
 *   body can look like a finished one, so the caller also asks the request's signal.
 * @throws whatever `sink.write` throws; the body is not read further then.
 */
export async function receiveBody(
  body: ReadableStream<Uint8Array>,
  sink: Sink,
  stop: AbortSignal,
): Promise<boolean> {
  const reader = body.getReader();
  const cancel = () => void reader.cancel().catch(() => undefined);
  stop.addEventListener("abort", cancel, { once: true });
  const batch = createBatch(sink);
  try {
    const ended = await readAll(reader, batch);
    await batch.flush();
    return ended && !stop.aborted;
  } catch (error) {
    cancel();
    throw error;
  } finally {
    stop.removeEventListener("abort", cancel);
  }
}

/** @returns false when the connection broke. */
async function readAll(
  reader: { read(): Promise<{ value?: Uint8Array | undefined }> },
  batch: ReturnType<typeof createBatch>,
): Promise<boolean> {
  for (;;) {
    let chunk: Uint8Array | undefined;
    try {
      chunk = (await reader.read()).value;
    } catch {
      return false;
    }
    if (chunk === undefined) return true;
    await batch.add(chunk);
  }
}

function createBatch(sink: Sink) {
  let chunks: Uint8Array[] = [];
  let size = 0;
  let writing: Promise<void> = Promise.resolve();

  async function send(): Promise<void> {
    const full = chunks;
    chunks = [];
    size = 0;
    await writing;
    writing = full.length === 0 ? Promise.resolve() : sink.write(full).then(() => release(full));
    // Seen by the next `await writing`; until then it must not count as unhandled.
    writing.catch(() => undefined);
  }

  return {
    async add(chunk: Uint8Array): Promise<void> {
      sink.hash(chunk);
      chunks.push(chunk);
      size += chunk.byteLength;
      if (size >= BATCH_BYTES || chunks.length >= BATCH_CHUNKS) await send();
    },
    async flush(): Promise<void> {
      await send();
      await writing;
    },
  };
}

/**
 * Gives the memory of chunks back at once. The garbage collector does not see it as its own and would
 * let tens of megabytes per upload pile up, each of which the kernel has to find and clear first: that
 * costs more than hashing.
 */
function release(chunks: readonly Uint8Array[]): void {
  for (const { buffer } of chunks) {
    // Transferring an ArrayBuffer to a length of 0 frees what it held.
    if (buffer instanceof ArrayBuffer) buffer.transfer(0);
  }
}
