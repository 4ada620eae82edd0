// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Signing and verifying from outside the registry.
 */
import { type ErrorCode, ProvError } from "../../base/errors.ts";
import { type Digest, digestOf } from "../digest.ts";
import { MEDIA_TYPE, parseManifest } from "../manifest.ts";
import { signatureTag } from "../signatures/find.ts";
import type { Signer } from "../signatures/private-key.ts";
import { createReader, type SignatureReader } from "../signatures/reader.ts";
import { signArtifact } from "../signatures/sign.ts";
import { converse } from "./conversation.ts";
import { fetchManifest, pushManifest } from "./manifest-transfer.ts";
import { createPatience, patiently } from "./patience.ts";
import { type PushDeps, pushBlob } from "./push-blob.ts";
import type { ClientDeps, Remote } from "./remote.ts";

/** Finds signatures in a repository over the network. @throws {ProvError} as `fetchManifest`. */
export function remoteReader(
  source: Remote,
  deps: ClientDeps,
  signal?: AbortSignal,
): SignatureReader {
  const talk = converse(source, "pull", deps);
  return createReader(async (path, accept) => {
    const patience = createPatience(deps, "pull", `${source.repository}/${path}`, signal);
    const headers = { accept };
    const response = await patiently(patience, () =>
      talk.ask({ path, headers, expect: [404], subject: path, signal }),
    );
    return response.ok ? response : undefined;
  });
}

export interface Signed {
  /** The artifact that was signed. */
  readonly digest: Digest;
  /** The manifest that holds the signature. */
  readonly signature: Digest;
  /** The tag that it has; null when that cannot be moved, or the digest is too long for one. */
  readonly tag: string | null;
}

/** Registries do not agree on how to say that a tag cannot be moved. */
const REFUSED: readonly ErrorCode[] = ["CONFLICT", "FORBIDDEN"];

/**
 * Signs what a tag or digest names now, and stores the signature beside it.
 *
 * @throws {ProvError} as `fetchManifest` and `pushBlob`.
 */
export async function pushSignature(
  target: Remote,
  reference: string,
  signer: Signer,
  deps: PushDeps,
): Promise<Signed> {
  const { signal } = deps;
  const artifact = await fetchManifest(target, reference, deps, signal);
  const { digest, bytes } = artifact;
  const { mediaType } = parseManifest(bytes, artifact.contentType);
  const tag = signatureTag(digest) ?? null;
  const before = tag === null ? undefined : await remoteReader(target, deps, signal).manifest(tag);
  const name = `${new URL(target.registry).host}/${target.repository}`;
  const subject = { mediaType, digest, size: bytes.byteLength };
  const { blobs, manifest } = signArtifact(subject, name, signer, before ?? null);
  for (const blob of blobs) {
    const open = (start: number, end: number) => new Blob([blob.slice(start, end)]);
    await pushBlob(target, { digest: digestOf(blob), size: blob.byteLength, open }, deps);
  }
  const sent = { bytes: manifest, mediaType: MEDIA_TYPE.image };
  const own = digestOf(manifest);
  if (tag !== null && (await isTagged(tag))) return { digest, signature: own, tag };
  await pushManifest(target, own, sent, deps, signal);
  return { digest, signature: own, tag: null };

  /** Among what refers to the artifact it is found all the same, when the tag may be set once only. */
  async function isTagged(as: string): Promise<boolean> {
    try {
      await pushManifest(target, as, sent, deps, signal);
      return true;
    } catch (error) {
      const isRefused = error instanceof ProvError && REFUSED.includes(error.code);
      if (before !== undefined && isRefused) return false;
      throw error;
    }
  }
}
