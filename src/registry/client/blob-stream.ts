// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { type Millis, seconds } from "../../base/units.ts";
import { algorithmOf, type Digest } from "../digest.ts";
import type { ArtifactSource, PullDeps } from "./pull.ts";
import { ask, createPatience } from "./registry-request.ts";

export interface BlobContent {
  readonly digest: Digest;
  readonly size: number;
}

const DEFAULT_STALL: Millis = seconds(60);

/**
 * The bytes of a blob as a stream that reads ahead no more than one chunk: a slow consumer slows the
 * registry down. Errors when the size or the digest is not the blob's.
 */
export function streamBlob(
  source: ArtifactSource,
  blob: BlobContent,
  deps: PullDeps,
  signal: AbortSignal | undefined,
): ReadableStream<Uint8Array> {
  const gone = new AbortController();
  const stop = signal === undefined ? gone.signal : AbortSignal.any([signal, gone.signal]);
  const chunks = verified(source, blob, deps, stop);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      async cancel(reason) {
        gone.abort(reason);
        await chunks.return(undefined).catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

async function* verified(
  source: ArtifactSource,
  blob: BlobContent,
  deps: PullDeps,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, undefined> {
  const hasher = new Bun.CryptoHasher(algorithmOf(blob.digest));
  let received = 0;
  for await (const chunk of resumed(source, blob, deps, signal)) {
    signal.throwIfAborted();
    hasher.update(chunk);
    received += chunk.byteLength;
    deps.onProgress?.(received);
    yield chunk;
  }
  const found = `${algorithmOf(blob.digest)}:${hasher.digest("hex")}`;
  if (found === blob.digest) return undefined;
  throw new ProvError(`Cannot use ${blob.digest}: the bytes that came have digest ${found}`, {
    code: "ARTIFACT_INVALID",
    hint: "The registry's copy is damaged, or something on the way changes it: push it again.",
  });
}

/** Exactly `blob.size` bytes, over as many connections as it takes. */
async function* resumed(
  source: ArtifactSource,
  blob: BlobContent,
  deps: PullDeps,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, undefined> {
  const patience = createPatience(deps, blob.digest, signal);
  let received = 0;
  while (received < blob.size || blob.size === 0) {
    try {
      for await (const chunk of fetchFrom(source, blob, received, deps, signal)) {
        patience.progress();
        received += chunk.byteLength;
        yield chunk;
      }
      if (received === blob.size) return undefined;
      throw new Error(`the connection ended after ${received} of ${blob.size} bytes`);
    } catch (error) {
      await patience.pause(error);
    }
  }
  return undefined;
}

/** One connection's worth of bytes from `offset` on. */
async function* fetchFrom(
  source: ArtifactSource,
  blob: BlobContent,
  offset: number,
  deps: PullDeps,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, undefined> {
  const watch = watchStall(deps);
  const path = `/v2/${source.repository}/blobs/${blob.digest}`;
  const headers: Record<string, string> = offset === 0 ? {} : { range: `bytes=${offset}-` };
  const either = AbortSignal.any([signal, watch.signal]);
  try {
    const response = await watch.wait(ask(source, path, headers, deps, either));
    let skip = offset - startOf(response, offset);
    let left = blob.size - offset;
    const reader = response.body?.getReader();
    try {
      while (reader !== undefined) {
        const { done, value } = await watch.wait(reader.read());
        if (done || value === undefined) break;
        const chunk = value.subarray(Math.min(skip, value.byteLength));
        skip -= value.byteLength - chunk.byteLength;
        left -= chunk.byteLength;
        if (left < 0) throw tooLong(blob);
        if (chunk.byteLength > 0) yield chunk;
      }
    } finally {
      await reader?.cancel().catch(() => undefined);
    }
  } finally {
    watch.stop();
  }
  return undefined;
}

/** Where the body begins: a server without ranges sends all of it again. */
function startOf(response: Response, offset: number): number {
  if (response.status !== 206) return 0;
  const match = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "");
  const start = Number(match?.[1] ?? offset);
  if (start <= offset) return start;
  throw new Error(`asked for bytes from ${offset}, got them from ${start}`);
}

function tooLong(blob: BlobContent): ProvError {
  return new ProvError(`Cannot use ${blob.digest}: it is longer than its ${blob.size} bytes`, {
    code: "ARTIFACT_INVALID",
  });
}

/**
 * Ends a connection that has gone silent. The time in which the consumer takes nothing does not
 * count: only what is waited for does.
 */
function watchStall({ now, stallAfter = DEFAULT_STALL }: PullDeps) {
  const stalled = new AbortController();
  let waitingSince: number | undefined;
  const timer = setInterval(() => {
    if (waitingSince !== undefined && now() - waitingSince >= stallAfter) {
      stalled.abort(new Error(`no byte came for ${stallAfter} ms`));
    }
  }, stallAfter / 4);
  return {
    signal: stalled.signal,
    async wait<T>(something: Promise<T>): Promise<T> {
      waitingSince = now();
      try {
        return await something;
      } finally {
        waitingSince = undefined;
      }
    },
    stop: () => clearInterval(timer),
  };
}
