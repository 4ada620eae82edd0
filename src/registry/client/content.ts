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

/** One run of the source: its bytes, and how many have been taken out of it. */
interface Run {
  readonly bytes: AsyncIterator<Uint8Array>;
  taken: number;
  /** What was taken out beyond the last chunk. */
  rest: Uint8Array;
}

/** What is made on the way. One chunk is kept, so that it can be sent again. */
export function chunksOfStream(open: () => AsyncIterable<Uint8Array>, chunkSize: number): Content {
  const hasher = new Bun.CryptoHasher("sha256");
  let hashed = 0;
  let run: Run | undefined;
  let kept = { start: 0, bytes: new Uint8Array(0) };
  let digest: Digest | undefined;

  async function stop() {
    await run?.bytes.return?.().catch(() => undefined);
    run = undefined;
  }

  /** Goes on to `start`, from the beginning when that lies behind. */
  async function runTo(start: number): Promise<Run> {
    const position = run === undefined ? 0 : run.taken - run.rest.byteLength;
    if (run === undefined || start < position) {
      await stop();
      run = { bytes: open()[Symbol.asyncIterator](), taken: 0, rest: new Uint8Array(0) };
    }
    const current = run;
    while (current.taken - current.rest.byteLength < start) {
      const behind = start - (current.taken - current.rest.byteLength);
      if (current.rest.byteLength === 0 && !(await more(current))) throw tooFar(start);
      current.rest = current.rest.subarray(Math.min(behind, current.rest.byteLength));
    }
    return current;
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

  async function fill(start: number, size: number): Promise<Uint8Array<ArrayBuffer>> {
    const current = await runTo(start);
    const bytes = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      if (current.rest.byteLength === 0 && !(await more(current))) break;
      const part = current.rest.subarray(0, size - filled);
      bytes.set(part, filled);
      filled += part.byteLength;
      current.rest = current.rest.subarray(part.byteLength);
    }
    return bytes.subarray(0, filled);
  }

  return {
    async next(start, least) {
      const isKept = start >= kept.start && start < kept.start + kept.bytes.byteLength;
      if (!isKept) kept = { start, bytes: await fill(start, Math.max(chunkSize, least)) };
      const bytes = kept.bytes.subarray(start - kept.start);
      if (bytes.byteLength > 0) {
        return { start, size: bytes.byteLength, open: () => new Blob([bytes]).stream() };
      }
      digest ??= `sha256:${hasher.digest("hex")}`;
      return undefined;
    },
    digest() {
      if (digest === undefined) throw new TypeError("its digest is known at its end");
      return digest;
    },
    size: () => hashed,
    stop,
  };
}

function tooFar(start: number): ProvError {
  return new ProvError(
    `Cannot push: the registry has ${start} bytes, which is more than there are`,
    {
      code: "ARTIFACT_INVALID",
    },
  );
}
