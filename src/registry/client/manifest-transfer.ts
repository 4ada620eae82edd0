// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { formatBytes } from "../../base/units.ts";
import { algorithmOf, type Digest, digestOf, parseDigest } from "../digest.ts";
import { MANIFEST_MAX_BYTES, MEDIA_TYPE } from "../manifest.ts";
import { converse } from "./conversation.ts";
import { createPatience, patiently } from "./patience.ts";
import { type ClientDeps, nameOf, type Remote } from "./remote.ts";

export interface FetchedManifest {
  /** As the registry has them: the digest is theirs. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly digest: Digest;
  /** What it was served as; null when that says nothing about a manifest. */
  readonly contentType: string | null;
}

/** Every kind of manifest that is understood here. */
export const MANIFEST_ACCEPT = Object.values(MEDIA_TYPE).join(", ");

/**
 * Fetches a manifest and verifies it: against the digest that was asked for, else against the one
 * that the registry names.
 *
 * @param reference a tag or a digest.
 * @throws {ProvError} `ARTIFACT_NOT_FOUND`, `ARTIFACT_INVALID`, `UNAUTHENTICATED`, `FORBIDDEN`, or
 *   `REGISTRY_UNREACHABLE` after the patience is used up.
 */
export async function fetchManifest(
  source: Remote,
  reference: string,
  deps: ClientDeps,
  signal?: AbortSignal,
): Promise<FetchedManifest> {
  const name = nameOf(source, reference);
  const talk = converse(source, "pull", deps);
  const patience = createPatience(deps, "pull", name, signal);
  return await patiently(patience, async () => {
    const response = await talk.ask({
      path: `manifests/${reference}`,
      headers: { accept: MANIFEST_ACCEPT },
      subject: reference,
      signal,
    });
    const bytes = await readLimited(name, response);
    const served = response.headers.get("docker-content-digest");
    const digest = verify(name, bytes, parseDigest(reference) ?? parseDigest(served ?? ""));
    // A proxy may say anything; the manifest's own word is better than an octet stream.
    const contentType = response.headers.get("content-type");
    const isTold = contentType !== null && /manifest|index/.test(contentType);
    return { bytes, digest, contentType: isTold ? contentType : null };
  });
}

/**
 * Stores a manifest; what it names must be there already.
 *
 * @param reference the tag it gets, or its own digest.
 * @returns its digest.
 * @throws {ProvError} as {@link fetchManifest}; `CONFLICT` when the tag may not be moved.
 */
export async function pushManifest(
  target: Remote,
  reference: string,
  manifest: { readonly bytes: Uint8Array<ArrayBuffer> | string; readonly mediaType: string },
  deps: ClientDeps,
  signal?: AbortSignal,
): Promise<Digest> {
  const asked = parseDigest(reference);
  const digest = digestOf(manifest.bytes, asked === undefined ? "sha256" : algorithmOf(asked));
  const talk = converse(target, "push", deps);
  const patience = createPatience(deps, "push", nameOf(target, reference), signal);
  await patiently(patience, async () => {
    const response = await talk.ask({
      method: "PUT",
      path: `manifests/${reference}`,
      headers: { "content-type": manifest.mediaType },
      body: () => manifest.bytes,
      subject: "what the manifest names",
      signal,
    });
    await response.body?.cancel();
  });
  return digest;
}

async function readLimited(name: string, response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MANIFEST_MAX_BYTES) {
      throw new ProvError(
        `Cannot use ${name}: its manifest is longer than ${formatBytes(MANIFEST_MAX_BYTES)}`,
        { code: "ARTIFACT_INVALID" },
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function verify(name: string, bytes: Uint8Array, claimed: Digest | undefined): Digest {
  const digest = digestOf(bytes, claimed === undefined ? "sha256" : algorithmOf(claimed));
  if (claimed === undefined || claimed === digest) return digest;
  throw new ProvError(`Cannot use ${name}: its manifest has digest ${digest}, not ${claimed}`, {
    code: "ARTIFACT_INVALID",
  });
}
