// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * One upload in a registry, request by request (distribution-spec, "Pushing a blob in chunks"): begun,
 * fed, asked how far it is, closed. `push-blob.ts` decides what happens when one of them fails.
 */
import type { Clock } from "../../base/deps.ts";
import { ProvError } from "../../base/errors.ts";
import { type Millis, minutes } from "../../base/units.ts";
import type { Digest } from "../digest.ts";
import { parseContentRange } from "../routes/range.ts";
import type { Conversation } from "./conversation.ts";
import type { Remote } from "./remote.ts";
import { watchStall } from "./stall.ts";

/** A part of a blob, on its way. */
export interface Chunk {
  /** Bytes of the blob that lie before it. */
  readonly start: number;
  readonly size: number;
  /** Its bytes; called again for every attempt. */
  readonly open: () => ReadableStream<Uint8Array>;
}

/** An upload as far as the client knows it. */
export interface Upload {
  /** Absolute URL; each answer may give it another. */
  location: string;
  /** Bytes that the registry says it has. */
  received: number;
  /** The least bytes of a chunk that is not the last (`OCI-Chunk-Min-Length`). */
  readonly leastChunk: number;
}

/** A registry that syncs what it has got, or the buffers of a slow line, may take so long. */
const SEND_STALL: Millis = minutes(5);
/** It may have to read all of the blob again before it answers. */
const CLOSE_STALL: Millis = minutes(15);

/** What the requests of an upload are made with. */
export interface UploadLine {
  readonly talk: Conversation;
  readonly remote: Remote;
  readonly now: Clock;
  readonly signal: AbortSignal | undefined;
  /** In place of {@link SEND_STALL}. */
  readonly stallAfter: Millis | undefined;
}

/** Client and registry do not agree on where the upload is; asking it helps. */
export class OutOfStep extends Error {}

const subjectOf = ({ repository }: Remote) => `the repository ${repository}`;

export async function beginUpload({ talk, remote, signal }: UploadLine): Promise<Upload> {
  const response = await talk.ask({
    method: "POST",
    path: "blobs/uploads/",
    headers: { "content-length": "0" },
    subject: subjectOf(remote),
    signal,
  });
  await response.body?.cancel();
  const location = locationOf(response, `${remote.registry}/`);
  if (location === undefined) throw noPlace(remote);
  const least = Number(response.headers.get("oci-chunk-min-length"));
  return { location, received: 0, leastChunk: Number.isSafeInteger(least) ? least : 0 };
}

/** Where an upload is; undefined when the registry does not know it any more. */
export async function findUpload(
  { talk, remote, signal }: UploadLine,
  location: string,
): Promise<Upload | undefined> {
  const response = await talk.ask({
    path: location,
    subject: subjectOf(remote),
    expect: [400, 404, 405, 410],
    signal,
  });
  if (!response.ok) return undefined;
  await response.body?.cancel();
  const received = receivedOf(response);
  if (received === undefined) return undefined;
  return { location: locationOf(response, location) ?? location, received, leastChunk: 0 };
}

/**
 * Sends a chunk, and brings `upload` to where the registry then is.
 *
 * @param onSent called with the bytes of the chunk that were taken so far.
 * @throws {OutOfStep} when the upload is not where `chunk` begins.
 */
export async function sendChunk(
  line: UploadLine,
  upload: Upload,
  chunk: Chunk,
  onSent: (sent: number) => void,
): Promise<void> {
  const { start, size } = chunk;
  const response = await watched(line, line.stallAfter ?? SEND_STALL, (signal, moved) => {
    const onTaken = (taken: number) => {
      moved();
      onSent(taken);
    };
    return line.talk.ask({
      method: "PATCH",
      path: upload.location,
      headers: {
        "content-type": "application/octet-stream",
        "content-length": String(size),
        "content-range": `${start}-${start + size - 1}`,
      },
      body: () => counted(chunk, onTaken),
      subject: subjectOf(line.remote),
      expect: [404, 409, 416],
      signal,
    });
  });
  await response.body?.cancel();
  if (!response.ok) throw new OutOfStep(`HTTP ${response.status}`);
  upload.location = locationOf(response, upload.location) ?? upload.location;
  const end = start + size;
  // The range of one byte is also that of none.
  upload.received = end === 1 ? end : (receivedOf(response) ?? end);
  if (upload.received <= start) throw new OutOfStep("the registry took nothing of the chunk");
}

/**
 * Says that it is all there.
 * @returns false when the bytes are not the digest's; then the upload is gone.
 * @throws {OutOfStep} when the registry does not know the upload, perhaps because it is closed.
 */
export async function closeUpload(
  line: UploadLine,
  upload: Upload,
  digest: Digest,
): Promise<boolean> {
  const url = new URL(upload.location);
  url.searchParams.set("digest", digest);
  const response = await watched(line, CLOSE_STALL, (signal) =>
    line.talk.ask({
      method: "PUT",
      path: url.href,
      headers: { "content-length": "0", "content-type": "application/octet-stream" },
      subject: subjectOf(line.remote),
      expect: [400, 404, 409, 416],
      signal,
    }),
  );
  await response.body?.cancel();
  if (response.status === 400) return false;
  if (!response.ok) throw new OutOfStep(`HTTP ${response.status}`);
  return true;
}

/** Lets the registry forget it, as far as it wants to hear that. */
export async function cancelUpload(line: UploadLine, { location }: Upload): Promise<void> {
  const { talk, remote, signal } = line;
  const subject = subjectOf(remote);
  const ask = {
    method: "DELETE",
    path: location,
    subject,
    expect: [400, 404, 405],
    signal,
  } as const;
  await talk.ask(ask).catch(() => undefined);
}

/** Runs a request that a silent connection ends. */
async function watched(
  { now, signal }: UploadLine,
  limit: Millis,
  work: (signal: AbortSignal, moved: () => void) => Promise<Response>,
): Promise<Response> {
  const watch = watchStall(limit, now);
  const either = signal === undefined ? watch.signal : AbortSignal.any([signal, watch.signal]);
  try {
    return await watch.wait(work(either, watch.moved));
  } finally {
    watch.stop();
  }
}

/** The chunk's bytes, which tell that they are taken; one more or less than promised is an error. */
function counted(chunk: Chunk, onTaken: (taken: number) => void): ReadableStream<Uint8Array> {
  const reader = chunk.open().getReader();
  let taken = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read().catch(unreadable);
        taken += value?.byteLength ?? 0;
        if (taken > chunk.size || (done && taken < chunk.size)) controller.error(changed());
        else if (done) controller.close();
        else controller.enqueue(value);
        onTaken(taken);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

function locationOf(response: Response, base: string): string | undefined {
  const location = response.headers.get("location");
  return location === null ? undefined : new URL(location, base).href;
}

/** `Range: 0-99` is 100 bytes; `0-0` is none, because that is what everybody says of an empty one. */
function receivedOf(response: Response): number | undefined {
  const range = parseContentRange(response.headers.get("range") ?? "");
  if (range === undefined) return undefined;
  return range.last === 0 ? 0 : range.last + 1;
}

/** Trying again helps against a registry that fails, and not against a disk. */
export function unreadable(cause: unknown): never {
  if (cause instanceof ProvError) throw cause;
  throw new ProvError("Cannot push: the content cannot be read", {
    code: "ARTIFACT_INVALID",
    cause,
  });
}

/** The content is not what it was when its size was taken. */
export function changed(what = "the content"): ProvError {
  return new ProvError(`Cannot push ${what}: it changed while it was read`, {
    code: "CONFLICT",
    hint: "Push it again when nothing writes to it.",
  });
}

function noPlace({ repository, registry }: Remote): ProvError {
  return new ProvError(
    `Cannot push ${repository} to ${registry}: it named no place for the upload`,
    { code: "ARTIFACT_INVALID" },
  );
}
