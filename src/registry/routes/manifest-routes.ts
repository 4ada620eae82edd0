// SPDX-License-Identifier: AGPL-3.0-or-later

import { setImmediate } from "node:timers/promises";
import { type ManifestRow, type NewManifest, newManifest } from "../catalog/manifests.ts";
import { algorithmOf, type Digest, digestOf, parseDigest } from "../digest.ts";
import { type Manifest, parseManifest } from "../manifest.ts";
import { unavailable, undefinedWhenSilent } from "../mirror/mirroring.ts";
import { OciError } from "../oci-error.ts";
import { requireMutable, requireRemovable } from "../policy/immutable.ts";
import { isTag } from "../reference.ts";
import { storeBytes } from "../storage/store-bytes.ts";
import { type Call, nothing, type Parts, requireDigest } from "./call.ts";
import { requireUnchanged } from "./conditional.ts";
import { contentResponse, partOf } from "./content-response.ts";
import { readManifestBody } from "./manifest-body.ts";
import type { ByteRange } from "./range.ts";
import { isStored, noteSighting } from "./stored.ts";

const LOOK_UPS_AT_ONCE = 500;

/** GET and HEAD: distribution-spec end-3. There is one form of each manifest, whatever is accepted. */
export async function getManifest(call: Call): Promise<Response> {
  const { request, repository, last, parts } = call;
  const isLook = request.method === "HEAD" && last.includes(":");
  const brought = parts.mirror?.bringManifest(repository, last);
  await (isLook ? brought?.catch(undefinedWhenSilent) : brought);
  const { digest, mediaType, size } = requireManifest(parts, repository, last);
  if (!(await isStored(call, digest, size))) throw unknownManifest(last);
  if (isLook) {
    noteSighting(() => parts.catalog.sightManifest(repository, digest, parts.now()));
  }
  const read = (range?: ByteRange) => partOf(parts.storage.read(repository, digest), range);
  return contentResponse(request, { digest, mediaType, size, read });
}

/**
 * PUT: stores the bytes as they are (end-7). A push by digest may name tags as well (`?tag=`, the
 * current development version of the spec).
 */
export async function putManifest(call: Call): Promise<Response> {
  const { request, query, repository, last, parts, access } = call;
  const asked = last.includes(":") ? requireDigest(last) : undefined;
  const tags = asked === undefined ? [last] : query.getAll("tag");
  for (const tag of tags) requireTag(tag);
  const bytes = await readManifestBody(request);
  const digest = digestOf(bytes, asked === undefined ? "sha256" : algorithmOf(asked));
  if (asked !== undefined && asked !== digest) {
    throw new OciError(`the manifest has digest ${digest}, not ${asked}`, {
      code: "DIGEST_INVALID",
    });
  }
  const manifest = requireValid(bytes, request.headers.get("content-type"));
  await bringBlobs(parts, repository, manifest);
  const { present, absent } = await look(parts, repository, manifest);
  using _room = reserve(call, digest, bytes.byteLength);
  const now = parts.now();
  const set = tags.map((tag) => ({ tag, updatedAt: now }));
  const size = bytes.byteLength;
  const added = { digest, size, tags: set, blobs: present, now };
  await store(call, bytes, newManifest(manifest, added));
  parts.layouts.schedule();
  const { identity: user } = access;
  parts.log.info({ user, repository, digest, tags, absent }, "manifest pushed");
  const headers = new Headers({
    location: `/v2/${repository}/manifests/${digest}`,
    "docker-content-digest": digest,
  });
  if (manifest.subject !== undefined) headers.set("oci-subject", manifest.subject.digest);
  if (asked !== undefined) for (const tag of tags) headers.append("oci-tag", tag);
  return new Response(null, { status: 201, headers });
}

/** DELETE of a tag, or of a manifest with all its tags (end-9). */
export async function deleteManifest(call: Call): Promise<Response> {
  const { repository, last, parts, access } = call;
  if (last.includes(":")) await removeManifest(call, requireDigest(last));
  else removeTag(call, requireTag(last));
  parts.layouts.schedule();
  parts.log.info({ user: access.identity, repository, reference: last }, "manifest deleted");
  return nothing(202);
}

/** The manifest a tag or digest names. @returns undefined when there is none. */
export function findManifest(
  parts: Parts,
  repository: string,
  reference: string,
): ManifestRow | undefined {
  const digest = parseDigest(reference) ?? parts.catalog.tagged(repository, reference);
  return digest === undefined ? undefined : parts.catalog.manifest(repository, digest);
}

function requireManifest(parts: Parts, repository: string, reference: string): ManifestRow {
  if (reference.includes(":")) requireDigest(reference);
  const row = findManifest(parts, repository, reference);
  if (row !== undefined) return row;
  throw unknownManifest(reference);
}

function unknownManifest(reference: string): OciError {
  return new OciError(`the repository has no manifest ${reference}`, { code: "MANIFEST_UNKNOWN" });
}

function requireTag(text: string): string {
  if (isTag(text)) return text;
  throw new OciError(`"${text.slice(0, 200)}" is not a tag`, { code: "TAG_INVALID" });
}

function requireValid(bytes: Uint8Array, contentType: string | null): Manifest {
  try {
    return parseManifest(bytes, contentType);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new OciError(`the manifest is not valid: ${cause.message}`, {
      code: "MANIFEST_INVALID",
      cause,
    });
  }
}

/**
 * A mirror says of upstream's blobs that they are here. Who therefore has not pushed them relies on
 * it: now they must be.
 */
async function bringBlobs(
  { catalog, mirror }: Parts,
  repository: string,
  { config, layers }: Manifest,
): Promise<void> {
  if (mirror === null) return;
  for (const { digest, isForeign } of [...(config === undefined ? [] : [config]), ...layers]) {
    if (isForeign || catalog.blobSize(repository, digest) !== undefined) continue;
    const coming = await mirror.bringBlob(repository, digest);
    await coming?.done.catch((error) => {
      throw unavailable(error);
    });
  }
}

/**
 * Looks which of a manifest's config and layers are here. It may come before them, or without them: an
 * image of which a mirror has only some layers. What is here must be as long as the manifest says.
 */
async function look(
  { catalog }: Parts,
  repository: string,
  { config, layers }: Manifest,
): Promise<{ present: Digest[]; absent: number }> {
  const named = [...(config === undefined ? [] : [config]), ...layers];
  const present: Digest[] = [];
  let absent = 0;
  for (const [i, { digest, size, isForeign }] of named.entries()) {
    // Tens of thousands fit into a manifest: others are answered meanwhile.
    if (i % LOOK_UPS_AT_ONCE === LOOK_UPS_AT_ONCE - 1) await setImmediate();
    const found = catalog.blobSize(repository, digest);
    if (found === size) present.push(digest);
    else if (found === undefined) absent += isForeign ? 0 : 1;
    else {
      throw new OciError(`${digest} has ${found} bytes, not ${size}`, { code: "MANIFEST_INVALID" });
    }
  }
  return { present, absent };
}

function blobsUnknown(digests: readonly Digest[]): OciError {
  return new OciError("blobs of the manifest were removed while it was pushed", {
    code: "MANIFEST_BLOB_UNKNOWN",
    detail: { digests },
  });
}

async function store(
  { request, repository, last, parts }: Call,
  bytes: Uint8Array,
  manifest: NewManifest,
): Promise<void> {
  const { storage, catalog, locks } = parts;
  const { row } = manifest;
  await locks.run(`${repository} ${row.digest}`, async () => {
    if ((await storage.stat(repository, row.digest)) !== row.size) {
      await storeBytes(storage, repository, bytes, row.digest);
    }
    try {
      // Nothing is awaited between the questions and the answer to them.
      requireUnchanged(request.headers, findManifest(parts, repository, last)?.digest);
      const tags = manifest.tags.map(({ tag }) => tag);
      requireMutable(parts, repository, tags, row.digest);
      const missing = catalog.putManifest(repository, manifest);
      if (missing.length > 0) throw blobsUnknown(missing);
    } catch (error) {
      await removeUnlisted(parts, repository, row.digest);
      throw error;
    }
  });
}

/** Room for the manifest, unless it is there already. @throws {OciError} `DENIED` */
function reserve({ repository, parts }: Call, digest: Digest, size: number): Disposable {
  const isThere = parts.catalog.manifest(repository, digest) !== undefined;
  return parts.quota.reserve(repository, isThere ? 0 : size);
}

function removeTag({ request, repository, parts }: Call, tag: string): void {
  requireUnchanged(request.headers, findManifest(parts, repository, tag)?.digest);
  requireMutable(parts, repository, [tag], null);
  if (parts.catalog.removeTag(repository, tag, parts.now())) return;
  throw new OciError(`the repository has no tag ${tag}`, { code: "MANIFEST_UNKNOWN" });
}

async function removeManifest({ request, repository, parts }: Call, digest: Digest): Promise<void> {
  const { catalog, locks } = parts;
  await locks.run(`${repository} ${digest}`, async () => {
    requireUnchanged(request.headers, catalog.manifest(repository, digest)?.digest);
    requireRemovable(parts, repository, digest);
    if (!catalog.removeManifest(repository, digest)) throw unknownManifest(digest);
    await removeUnlisted(parts, repository, digest);
  });
}

/** Removes content that is neither a manifest nor a blob of the repository. */
async function removeUnlisted(
  { storage, catalog }: Parts,
  repository: string,
  digest: Digest,
): Promise<void> {
  if (catalog.manifest(repository, digest) !== undefined) return;
  if (catalog.blobSize(repository, digest) !== undefined) return;
  await storage.delete(repository, digest);
}
