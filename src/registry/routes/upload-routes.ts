// SPDX-License-Identifier: AGPL-3.0-or-later

import { ALGORITHMS, type Algorithm, algorithmOf, type Digest, parseDigest } from "../digest.ts";
import { OciError } from "../oci-error.ts";
import { isRepository } from "../reference.ts";
import { rangeOf, uploadUrl } from "../uploads/feed.ts";
import type { Body } from "../uploads/upload-session.ts";
import { sees } from "./authorize.ts";
import { type Call, nothing, requireDigest } from "./call.ts";
import { parseContentRange } from "./range.ts";

/**
 * POST …/blobs/uploads/ : begins an upload (end-4a), takes a whole blob (end-4b, `?digest=`) or
 * mounts one (end-11, `?mount=`, with or without `from=`).
 */
export async function startUpload(call: Call): Promise<Response> {
  const { query, repository, parts } = call;
  const mount = query.get("mount");
  if (mount !== null) {
    const digest = parseDigest(mount);
    if (digest !== undefined && (await mountBlob(call, digest))) return created(repository, digest);
  }
  const whole = query.get("digest");
  if (whole !== null && mount === null) return await takeWhole(call, requireDigest(whole));
  parts.quota.require(repository, 0);
  const id = await parts.uploads.begin(repository, algorithmAsked(query));
  return progress(202, repository, id, 0);
}

function algorithmAsked(query: URLSearchParams): Algorithm {
  const asked = query.get("digest-algorithm");
  if (asked === null) return "sha256";
  const known = ALGORITHMS.find((algorithm) => algorithm === asked);
  if (known !== undefined) return known;
  throw new OciError(`"${asked.slice(0, 50)}" is not an algorithm of this registry`, {
    code: "DIGEST_INVALID",
  });
}

/**
 * Only from where the caller may pull: a mount must not tell what else is there. A token's scope has to cover
 * the target only: clients that mount without `from` cannot know whose scope to ask for.
 */
async function mountBlob(call: Call, digest: Digest): Promise<boolean> {
  const { query, repository, access, parts } = call;
  const from = query.get("from");
  const sources = from === null ? parts.catalog.holders(digest) : [from];
  const source = sources.find(
    (name) =>
      isRepository(name) &&
      parts.catalog.blobSize(name, digest) !== undefined &&
      sees(access, name),
  );
  if (source === undefined) return false;
  return await parts.locks.run(`${repository} ${digest}`, async () => {
    const size = parts.catalog.blobSize(source, digest);
    // What is damaged on the disk is not handed on: the client sends it then.
    if (size === undefined || (await parts.storage.stat(source, digest)) !== size) return false;
    using _room = reserve(call, digest, size);
    if (!(await parts.storage.link(digest, source, repository))) return false;
    parts.catalog.addBlob(repository, digest, size, parts.now());
    parts.layouts.schedule();
    return true;
  });
}

async function takeWhole(call: Call, digest: Digest): Promise<Response> {
  const { repository, parts } = call;
  const id = await parts.uploads.begin(repository, algorithmOf(digest));
  try {
    await parts.uploads.append(repository, id, bodyOf(call, digest), null);
  } catch (error) {
    // The client never learnt its address, so nobody can go on with it.
    await parts.uploads.cancel(repository, id).catch(() => undefined);
    throw error;
  }
  return await finish(call, id, digest);
}

/** GET: how far it is (end-13). */
export async function uploadStatus({ repository, last, parts }: Call): Promise<Response> {
  return progress(204, repository, last, await parts.uploads.received(repository, last));
}

/** PATCH: a chunk, or all there is (end-5). */
export async function appendUpload(call: Call): Promise<Response> {
  const { repository, last, parts } = call;
  const { body, start } = await chunkOf(call);
  const received = await parts.uploads.append(repository, last, body, start);
  return progress(202, repository, last, received);
}

/** PUT: the last chunk, if any, and the digest of the whole (end-6). */
export async function finishUpload(call: Call): Promise<Response> {
  const { query, repository, last, parts } = call;
  const digest = requireDigest(query.get("digest") ?? "");
  const { body, start } = await chunkOf(call, digest);
  await parts.uploads.expect(repository, last, digest);
  await parts.uploads.append(repository, last, body, start);
  return await finish(call, last, digest);
}

/** DELETE: gives it up. */
export async function cancelUpload({ repository, last, parts }: Call): Promise<Response> {
  await parts.uploads.cancel(repository, last);
  return nothing(204);
}

async function finish(call: Call, id: string, digest: Digest): Promise<Response> {
  const { repository, parts, access } = call;
  const size = await parts.locks.run(`${repository} ${digest}`, async () => {
    using _room = await reserveUpload(call, id, digest);
    const bytes = await parts.uploads.finish(repository, id, digest);
    parts.catalog.addBlob(repository, digest, bytes, parts.now());
    return bytes;
  });
  parts.layouts.schedule();
  parts.log.info({ user: access.identity, repository, digest, size }, "blob pushed");
  return created(repository, digest);
}

/** What does not fit is not kept for another try. @throws {OciError} `DENIED` */
async function reserveUpload(call: Call, id: string, digest: Digest): Promise<Disposable> {
  const { uploads } = call.parts;
  const size = await uploads.received(call.repository, id);
  try {
    return reserve(call, digest, size);
  } catch (error) {
    await uploads.cancel(call.repository, id);
    throw error;
  }
}

/** Room for a blob, unless the repository has it already. @throws {OciError} `DENIED` */
function reserve({ repository, parts }: Call, digest: Digest, size: number): Disposable {
  const isThere = parts.catalog.blobSize(repository, digest) !== undefined;
  return parts.quota.reserve(repository, isThere ? 0 : size);
}

/**
 * The body, and where it says it begins (`Content-Range`); null when it does not say.
 * @throws {OciError} 416 for a header nobody can read, `SIZE_INVALID` when it contradicts the length.
 */
async function chunkOf(call: Call, digest?: Digest): Promise<{ body: Body; start: number | null }> {
  const { request, repository, last, parts } = call;
  const body = bodyOf(call, digest);
  const header = request.headers.get("content-range");
  if (header === null) return { body, start: null };
  const range = parseContentRange(header);
  if (range === undefined) {
    const received = await parts.uploads.received(repository, last);
    throw new OciError(`"${header}" is not <first>-<last>`, {
      code: "BLOB_UPLOAD_INVALID",
      status: 416,
      headers: { location: uploadUrl(repository, last), range: rangeOf(received) },
    });
  }
  const length = range.last - range.first + 1;
  if (body.length !== null && body.length !== length) {
    throw new OciError(`${header} is not the ${body.length} bytes that are sent`, {
      code: "SIZE_INVALID",
    });
  }
  return { body: { ...body, length }, start: range.first };
}

/** @param digest what it is to be, if that is known: what is there already takes no room. */
function bodyOf({ request, repository, parts }: Call, digest?: Digest): Body {
  const isThere = digest !== undefined && parts.catalog.blobSize(repository, digest) !== undefined;
  return {
    stream: request.body,
    length: lengthOf(request),
    signal: request.signal,
    requireRoom: (bytes) => parts.quota.require(repository, bytes),
    room: isThere ? Number.POSITIVE_INFINITY : parts.quota.room(repository),
  };
}

function lengthOf(request: Request): number | null {
  const text = request.headers.get("content-length");
  return text === null ? null : Number(text);
}

function progress(status: number, repository: string, id: string, received: number): Response {
  return nothing(status, {
    location: uploadUrl(repository, id),
    range: rangeOf(received),
    "docker-upload-uuid": id,
  });
}

function created(repository: string, digest: Digest): Response {
  return nothing(201, {
    location: `/v2/${repository}/blobs/${digest}`,
    "docker-content-digest": digest,
  });
}
