// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { type Millis, seconds } from "../../base/units.ts";
import { algorithmOf, type Digest } from "../digest.ts";
import { type Conversation, converse } from "./conversation.ts";
import { createPatience } from "./patience.ts";
import type { PullDeps } from "./pull.ts";
import type { Remote } from "./remote.ts";
import { watchStall } from "./stall.ts";

export interface BlobContent {
  readonly digest: Digest;
  readonly size: number;
}

export interface WantedBlob extends BlobContent {
  /** The part of it that is here already: only the rest is fetched, and all of it is verified. */
  readonly have?: { readonly size: number; readonly hasher: Bun.CryptoHasher };
}

/** What came is not the blob: none of it is worth keeping. */
export class OtherBytes extends ProvError {}

const DEFAULT_STALL: Millis = seconds(60);

/**
 * The bytes of a blob as a stream that reads ahead no more than one chunk: a slow consumer slows the
 * registry down. Errors with {@link OtherBytes} when the size or the digest is not the blob's.
 */
export function streamBlob(
  source: Remote,
  blob: WantedBlob,
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
  source: Remote,
  blob: WantedBlob,
  deps: PullDeps,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, undefined> {
  const hasher = blob.have?.hasher ?? new Bun.CryptoHasher(algorithmOf(blob.digest));
  let received = blob.have?.size ?? 0;
  const talk = converse(source, "pull", deps);
  for await (const chunk of resumed(talk, blob, deps, signal)) {
    signal.throwIfAborted();
    hasher.update(chunk);
    received += chunk.byteLength;
    deps.onProgress?.(received);
    yield chunk;
  }
  const found = `${algorithmOf(blob.digest)}:${hasher.digest("hex")}`;
  if (found === blob.digest) return undefined;
  throw new OtherBytes(`Cannot use ${blob.digest}: the bytes that came have digest ${found}`, {
    code: "ARTIFACT_INVALID",
    hint: "The registry's copy is damaged, or something on the way changes it: push it again.",
  });
}

/** Exactly `blob.size` bytes, over as many connections as it takes. */
async function* resumed(
  talk: Conversation,
  blob: WantedBlob,
  deps: PullDeps,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, undefined> {
  const patience = createPatience(deps, "pull", blob.digest, signal);
  let received = blob.have?.size ?? 0;
  while (received < blob.size || blob.size === 0) {
    try {
      for await (const chunk of fetchFrom(talk, blob, received, deps, signal)) {
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
  talk: Conversation,
  blob: BlobContent,
  offset: number,
  deps: PullDeps,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, undefined> {
  const watch = watchStall(deps.stallAfter ?? DEFAULT_STALL, deps.now);
  const headers: Record<string, string> = offset === 0 ? {} : { range: `bytes=${offset}-` };
  const what = { path: `blobs/${blob.digest}`, subject: blob.digest };
  const either = AbortSignal.any([signal, watch.signal]);
  try {
    const response = await watch.wait(talk.ask({ ...what, headers, signal: either }));
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

function tooLong(blob: BlobContent): OtherBytes {
  return new OtherBytes(`Cannot use ${blob.digest}: it is longer than its ${blob.size} bytes`, {
    code: "ARTIFACT_INVALID",
  });
}
