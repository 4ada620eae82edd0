// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import type { Digest } from "../digest.ts";
import type { PushedBlob } from "./push-blob.ts";
import type { Chunk } from "./upload.ts";

/** A blob as the chunks it is sent in. */
export interface Content {
  /**
   * The chunk that begins at `start`; undefined at the end.
   * @param least bytes it must have, unless it is the last.
   */
  next(start: number, least: number): Promise<Chunk | undefined>;
  /** Known once {@link next} has answered undefined. */
  digest(): Digest;
  size(): number;
  stop(): Promise<void>;
}

/** A blob whose parts can be read in any order, as of a file. */
export function chunksOfBlob(blob: PushedBlob, chunkSize: number): Content {
  return {
    next(start, least) {
      const size = Math.min(Math.max(chunkSize, least), blob.size - start);
      if (size < 0) return Promise.reject(tooFar(start));
      if (size === 0) return Promise.resolve(undefined);
      const open = () => {
        const part = blob.open(start, start + size);
        return part instanceof Blob ? part.stream() : part;
      };
      return Promise.resolve({ start, size, open });
    },
    digest: () => blob.digest,
    size: () => blob.size,
    stop: () => Promise.resolve(),
  };
}

/** What is written to a connection at once. */
const PIECE_BYTES = 256 * 1024;

/** One run of the source: its bytes, and how many have been taken out of it. */
interface Run {
  readonly bytes: AsyncIterator<Uint8Array>;
  taken: number;
  /** What was taken out beyond what was asked for. */
  rest: Uint8Array;
}

/** Reads a source at any place: a place that lies behind begins it again. */
function createTape(open: () => AsyncIterable<Uint8Array>) {
  const hasher = new Bun.CryptoHasher("sha256");
  let hashed = 0;
  let run: Run | undefined;

  async function stop() {
    await run?.bytes.return?.().catch(() => undefined);
    run = undefined;
  }

  /** Takes the next bytes out; those that were never seen before are hashed. */
  async function more(current: Run): Promise<boolean> {
    const { done, value } = await current.bytes.next();
    if (done === true) return false;
    const known = Math.min(value.byteLength, Math.max(0, hashed - current.taken));
    if (known < value.byteLength) hasher.update(value.subarray(known));
    current.taken += value.byteLength;
    hashed = Math.max(hashed, current.taken);
    current.rest = value;
    return true;
  }

  async function goTo(start: number): Promise<Run> {
    if (run === undefined || start < run.taken - run.rest.byteLength) {
      await stop();
      run = { bytes: open()[Symbol.asyncIterator](), taken: 0, rest: new Uint8Array(0) };
    }
    const current = run;
    for (;;) {
      const behind = start - (current.taken - current.rest.byteLength);
      current.rest = current.rest.subarray(Math.min(behind, current.rest.byteLength));
      if (current.taken - current.rest.byteLength === start) return current;
      if (!(await more(current))) throw tooFar(start);
    }
  }

  return {
    /** Fills `room` with what comes from `start` on. @returns how much that was; less at the end. */
    async read(start: number, room: Uint8Array): Promise<number> {
      const current = await goTo(start);
      let filled = 0;
      while (filled < room.byteLength) {
        if (current.rest.byteLength === 0 && !(await more(current))) break;
        const part = current.rest.subarray(0, room.byteLength - filled);
        room.set(part, filled);
        filled += part.byteLength;
        current.rest = current.rest.subarray(part.byteLength);
      }
      return filled;
    },
    /** Of all that has come out; to be asked for at the end only. */
    digest: (): Digest => `sha256:${hasher.digest("hex")}`,
    size: () => hashed,
    stop,
  };
}

/** What is made on the way. One chunk is kept, so that it can be sent again. */
export function chunksOfStream(open: () => AsyncIterable<Uint8Array>, chunkSize: number): Content {
  const tape = createTape(open);
  // One for all chunks: a fresh one for each would pile up until somebody collects them.
  let room = new Uint8Array(0);
  let kept = { start: 0, size: 0 };
  let digest: Digest | undefined;
  return {
    async next(start, least) {
      if (start < kept.start || start >= kept.start + kept.size) {
        const size = Math.max(chunkSize, least);
        if (room.byteLength < size) room = new Uint8Array(size);
        kept = { start, size: 0 };
        kept.size = await tape.read(start, room.subarray(0, size));
      }
      const bytes = room.subarray(start - kept.start, kept.size);
      if (bytes.byteLength > 0) {
        return { start, size: bytes.byteLength, open: () => piecesOf(bytes) };
      }
      digest ??= tape.digest();
      return undefined;
    },
    digest() {
      if (digest === undefined) throw new TypeError("its digest is known at its end");
      return digest;
    },
    size: tape.size,
    stop: tape.stop,
  };
}

function piecesOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (at >= bytes.byteLength) controller.close();
        else controller.enqueue(bytes.subarray(at, at + PIECE_BYTES));
        at += PIECE_BYTES;
      },
    },
    { highWaterMark: 0 },
  );
}

function tooFar(start: number): ProvError {
  return new ProvError(
    `Cannot push: the registry has ${start} bytes, which is more than there are`,
    {
      code: "ARTIFACT_INVALID",
    },
  );
}
