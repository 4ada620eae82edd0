// SPDX-License-Identifier: AGPL-3.0-or-later

import { type ManifestRow, type NewManifest, newManifest } from "../catalog/manifests.ts";
import { algorithmOf, type Digest, digestOf, parseDigest } from "../digest.ts";
import { type Descriptor, MANIFEST_MAX_BYTES, type Manifest, parseManifest } from "../manifest.ts";
import { OciError } from "../oci-error.ts";
import { isTag } from "../reference.ts";
import { type Call, nothing, type Parts, requireDigest } from "./call.ts";

/** GET and HEAD: distribution-spec end-3. */
export function getManifest({ request, repository, last, parts }: Call): Response {
  const row = requireManifest(parts, repository, last);
  const headers = {
    "content-type": row.mediaType,
    "content-length": `${row.size}`,
    "docker-content-digest": row.digest,
    etag: `"${row.digest}"`,
    "x-content-type-options": "nosniff",
  };
  if (request.headers.get("if-none-match") === headers.etag) return nothing(304, headers);
  if (request.method === "HEAD") return nothing(200, headers);
  return new Response(parts.storage.read(repository, row.digest), { headers });
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
  const bytes = await readLimited(request);
  const digest = digestOf(bytes, asked === undefined ? "sha256" : algorithmOf(asked));
  if (asked !== undefined && asked !== digest) {
    throw new OciError(`the manifest has digest ${digest}, not ${asked}`, {
      code: "DIGEST_INVALID",
    });
  }
  const manifest = requireValid(bytes, request.headers.get("content-type"));
  requireBlobs(parts, repository, manifest);
  const now = parts.now();
  const set = tags.map((tag) => ({ tag, updatedAt: now }));
  const size = bytes.byteLength;
  await store(parts, repository, bytes, newManifest(manifest, { digest, size, tags: set, now }));
  parts.layouts.schedule();
  parts.log.info({ user: access.identity, repository, digest, tags }, "manifest pushed");
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
  if (last.includes(":")) await removeManifest(parts, repository, requireDigest(last));
  else if (!parts.catalog.removeTag(repository, requireTag(last))) {
    throw new OciError(`the repository has no tag ${last}`, { code: "MANIFEST_UNKNOWN" });
  }
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
  throw new OciError(`the repository has no manifest ${reference}`, { code: "MANIFEST_UNKNOWN" });
}

function requireTag(text: string): string {
  if (isTag(text)) return text;
  throw new OciError(`"${text.slice(0, 200)}" is not a tag`, { code: "TAG_INVALID" });
}

async function readLimited(request: Request): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length") ?? 0) > MANIFEST_MAX_BYTES) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > MANIFEST_MAX_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(): OciError {
  return new OciError(`a manifest has at most ${MANIFEST_MAX_BYTES} bytes`, {
    code: "MANIFEST_INVALID",
    status: 413,
  });
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
 * What an image is made of must be here, and as long as it says. An index may name manifests that
 * never come (a sparse index), and a subject may come later.
 */
function requireBlobs({ catalog }: Parts, repository: string, manifest: Manifest): void {
  const config = manifest.config === undefined ? [] : [manifest.config];
  const needed: Descriptor[] = [...config, ...manifest.layers].filter((d) => !d.isForeign);
  const missing = needed.filter(({ digest }) => catalog.blobSize(repository, digest) === undefined);
  if (missing.length > 0) throw blobsUnknown(missing.map(({ digest }) => digest));
  for (const { digest, size } of needed) {
    const found = catalog.blobSize(repository, digest);
    if (found === size) continue;
    throw new OciError(`${digest} has ${found} bytes, not ${size}`, { code: "MANIFEST_INVALID" });
  }
}

function blobsUnknown(digests: readonly Digest[]): OciError {
  return new OciError("blobs of the manifest are not in the repository", {
    code: "MANIFEST_BLOB_UNKNOWN",
    detail: { digests },
  });
}

async function store(
  { storage, catalog, locks }: Parts,
  repository: string,
  bytes: Uint8Array,
  manifest: NewManifest,
): Promise<void> {
  const { row } = manifest;
  await locks.run(`${repository} ${row.digest}`, async () => {
    if ((await storage.stat(repository, row.digest)) !== row.size) {
      const id = `manifest-${crypto.randomUUID()}`;
      try {
        await storage.begin(id);
        const writer = await storage.append(id, 0);
        await writer.write([bytes]).finally(() => writer.close());
        await storage.commit(id, repository, row.digest);
      } catch (error) {
        await storage.cancel(id);
        throw error;
      }
    }
    // Looked for once more, together with the writing: they may have been removed in between.
    const missing = catalog.putManifest(repository, manifest);
    if (missing.length > 0) throw blobsUnknown(missing);
  });
}

async function removeManifest(parts: Parts, repository: string, digest: Digest): Promise<void> {
  const { storage, catalog, locks } = parts;
  await locks.run(`${repository} ${digest}`, async () => {
    if (!catalog.removeManifest(repository, digest)) {
      throw new OciError(`the repository has no manifest ${digest}`, { code: "MANIFEST_UNKNOWN" });
    }
    if (catalog.blobSize(repository, digest) === undefined) {
      await storage.delete(repository, digest);
    }
  });
}
