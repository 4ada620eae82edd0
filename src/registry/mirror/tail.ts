// SPDX-License-Identifier: AGPL-3.0-or-later
import type { ByteRange } from "../routes/range.ts";
import type { IncomingBlob } from "./incoming-blob.ts";

/** Little enough to hold for hundreds of clients at once; with less, opening the file costs more than reading. */
const CHUNK_BYTES = 512 * 1024;

/**
 * A part of a blob that is still coming, as a response's body: reads from the file as far as it has
 * grown, and no faster than the client takes it. It errors when the blob does not come, which makes
 * `Bun.serve` break the connection: the client must not take it for the end.
 */
export function tail(blob: IncomingBlob, { first, last }: ByteRange): ReadableStream<Uint8Array> {
  let at = first;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const readable = await blob.beyond(at);
        const chunk = await blob.read(at, Math.min(readable, last + 1, at + CHUNK_BYTES));
        at += chunk.byteLength;
        controller.enqueue(chunk);
        if (at > last) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}
