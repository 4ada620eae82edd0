// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Pushes blobs of any size with bounded memory. Whatever breaks on the way (a connection, the
 * registry, this process) is taken up again where the registry says it is.
 */
import { ProvError } from "../../base/errors.ts";
import { type Bytes, type Millis, mib } from "../../base/units.ts";
import type { Digest } from "../digest.ts";
import { type Content, chunksOfBlob, chunksOfStream } from "./content.ts";
import { type Conversation, converse } from "./conversation.ts";
import { createPatience, patiently } from "./patience.ts";
import type { ClientDeps, Remote } from "./remote.ts";
import {
  beginUpload,
  cancelUpload,
  closeUpload,
  findUpload,
  OutOfStep,
  sendChunk,
  type Upload,
  type UploadLine,
  unreadable,
} from "./upload.ts";

/** Uploads that an earlier process has begun: where they are, by what they are of. */
export interface UploadMemory {
  /** Takes the location out, so that no other process goes on with the same one. */
  take(key: string): Promise<string | undefined>;
  keep(key: string, location: string): Promise<void>;
  forget(key: string): Promise<void>;
}

export interface PushDeps extends ClientDeps {
  readonly signal?: AbortSignal;
  /** Without it an upload is not taken up again by the next process. */
  readonly memory?: UploadMemory;
  /** Bytes of the blob that the registry was sent so far. It can go back when a connection broke. */
  readonly onProgress?: (sent: number) => void;
  /** Of one request. Default: 64 MiB. */
  readonly chunkSize?: Bytes;
  /** After so long without a byte a connection is given up. Default: 5 min. */
  readonly stallAfter?: Millis;
}

export interface PushedBlob {
  readonly digest: Digest;
  readonly size: number;
  /** Bytes of the part from `start` to before `end`; asked for again after a failure. */
  open(start: number, end: number): Blob | ReadableStream<Uint8Array>;
}

/** Whether the repository has the blob. @throws {ProvError} as {@link pushBlob}. */
export async function hasBlob(target: Remote, digest: Digest, deps: PushDeps): Promise<boolean> {
  const patience = createPatience(deps, "push", digest, deps.signal);
  const talk = converse(target, "push", deps);
  return await patiently(patience, () => isThere(talk, digest, deps));
}

/**
 * Pushes a blob, unless the repository has it.
 *
 * @throws {ProvError} `REGISTRY_UNREACHABLE` after the patience is used up, `UNAUTHENTICATED`,
 *   `FORBIDDEN`, `STORAGE_FULL`, `ARTIFACT_INVALID`, `CONFLICT` when the content changes meanwhile.
 */
export async function pushBlob(
  target: Remote,
  blob: PushedBlob,
  deps: PushDeps,
): Promise<"pushed" | "present"> {
  const content = chunksOfBlob(blob, deps.chunkSize ?? mib(64));
  return await pushContent(target, content, blob.digest, deps);
}

/**
 * Pushes what is made on the way. Nothing of it is kept but one chunk: after a failure that loses more,
 * it is made again from its start, so `open` must give the same bytes each time.
 */
export async function pushStream(
  target: Remote,
  open: () => AsyncIterable<Uint8Array>,
  deps: PushDeps,
): Promise<{ digest: Digest; size: number }> {
  const content = chunksOfStream(open, deps.chunkSize ?? mib(8));
  try {
    await pushContent(target, content, undefined, deps);
    return { digest: content.digest(), size: content.size() };
  } finally {
    await content.stop();
  }
}

interface Pushing {
  readonly content: Content;
  /** Undefined while it is not known before the end. */
  readonly digest: Digest | undefined;
  readonly line: UploadLine;
  readonly deps: PushDeps;
  readonly key: string;
  upload: Upload | undefined;
  /** True while its first bytes are from another process, or from before a restart of the registry. */
  isTakenUp: boolean;
  /** True after a failure: the registry must be asked how far it is. */
  isUncertain: boolean;
}

async function pushContent(
  target: Remote,
  content: Content,
  digest: Digest | undefined,
  deps: PushDeps,
): Promise<"pushed" | "present"> {
  const { now, signal, stallAfter } = deps;
  const talk = converse(target, "push", deps);
  const pushing: Pushing = {
    content,
    digest,
    line: { talk, remote: target, now, signal, stallAfter },
    deps,
    key: `${target.registry} ${target.repository} ${digest}`,
    upload: undefined,
    isTakenUp: false,
    isUncertain: false,
  };
  const patience = createPatience(deps, "push", digest ?? target.repository, signal);
  return await patiently(patience, async () => {
    try {
      return await attempt(pushing, patience.progress);
    } catch (error) {
      pushing.isUncertain = true;
      // Where even the start is refused, one byte may be there: no range can say that.
      if (error instanceof OutOfStep && pushing.upload?.received === 0) await giveUp(pushing);
      throw error;
    }
  });
}

/** From where the upload is to its end, or to the first failure. */
async function attempt(pushing: Pushing, progress: () => void): Promise<"pushed" | "present"> {
  const { content, line, deps } = pushing;
  const upload = await currentUpload(pushing, progress);
  if (upload === undefined) return "present";
  for (;;) {
    deps.onProgress?.(upload.received);
    const start = upload.received;
    const chunk = await content.next(start, upload.leastChunk).catch(unreadable);
    if (chunk === undefined) break;
    await sendChunk(line, upload, chunk, (sent) => deps.onProgress?.(start + sent));
    progress();
    await remember(pushing, upload);
  }
  const digest = pushing.digest ?? content.digest();
  const isRight = await closeUpload(line, upload, digest);
  await deps.memory?.forget(pushing.key);
  if (isRight) return "pushed";
  if (!pushing.isTakenUp) throw refusedBytes(line.remote, digest);
  pushing.upload = undefined;
  throw new Error(`what the registry had of ${digest} from before was not its beginning`);
}

/** The upload to go on with; undefined when the blob is in the registry already. */
async function currentUpload(pushing: Pushing, progress: () => void): Promise<Upload | undefined> {
  const { upload } = pushing;
  if (upload !== undefined && pushing.isUncertain) {
    const found = await findUpload(pushing.line, upload.location);
    if (found !== undefined && found.received > upload.received) progress();
    pushing.upload = found && { ...found, leastChunk: upload.leastChunk };
  }
  pushing.upload ??= await newUpload(pushing);
  pushing.isUncertain = false;
  return pushing.upload;
}

/** One that an earlier process has left, or a fresh one. */
async function newUpload(pushing: Pushing): Promise<Upload | undefined> {
  const { digest, line, deps, key } = pushing;
  if (digest !== undefined && (await isThere(line.talk, digest, deps))) return undefined;
  const left = digest === undefined ? undefined : await deps.memory?.take(key);
  const found = left === undefined ? undefined : await findUpload(line, left);
  pushing.isTakenUp = found !== undefined;
  const upload = found ?? (await beginUpload(line));
  await remember(pushing, upload);
  return upload;
}

async function remember({ digest, deps, key }: Pushing, { location }: Upload): Promise<void> {
  if (digest !== undefined) await deps.memory?.keep(key, location);
}

async function giveUp(pushing: Pushing): Promise<void> {
  if (pushing.upload !== undefined) await cancelUpload(pushing.line, pushing.upload);
  pushing.upload = undefined;
  await pushing.deps.memory?.forget(pushing.key);
}

async function isThere(talk: Conversation, digest: Digest, { signal }: PushDeps): Promise<boolean> {
  const response = await talk.ask({
    method: "HEAD",
    path: `blobs/${digest}`,
    subject: digest,
    expect: [404],
    signal,
  });
  return response.ok;
}

function refusedBytes({ repository, registry }: Remote, digest: Digest): ProvError {
  return new ProvError(
    `Cannot push ${repository} to ${registry}: what came there is not ${digest}`,
    {
      code: "ARTIFACT_INVALID",
      hint: "The content changed while it was sent, or something on the way changes it: push it again.",
    },
  );
}
