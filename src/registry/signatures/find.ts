// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Where the signatures of an artifact are: under the tag `sha256-<hex>.sig` (cosign 1 and 2, and
 * everything that reads their signatures), and among the manifests whose subject it is (cosign 2 with
 * `--registry-referrers-mode=oci-1-1`, cosign 3). Whoever may push can put anything there: each
 * candidate stands alone, and there is a bound on how many are looked at.
 */
import { algorithmOf, type Digest, digestOf, hexOf } from "../digest.ts";
import { type Manifest, parseManifest } from "../manifest.ts";
import { isTag } from "../reference.ts";
import { isBundle, parseBundle } from "./bundle.ts";
import type { Claim } from "./claim.ts";
import type { SignatureReader } from "./reader.ts";
import { parseSimpleSigning, SIGNATURE_ANNOTATION, SIMPLE_SIGNING } from "./simple-signing.ts";

/** Manifests that are looked at for one artifact, and signatures in one manifest. */
const MAX_MANIFESTS = 64;
const MAX_LAYERS = 32;

/** cosign's OCI 1.1 mode says so of a simple signature that refers to its artifact. */
export const SIGNATURE_ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json";

/** A signature, or why it is none. */
export interface Candidate {
  /** The manifest that holds it. */
  readonly digest: Digest;
  readonly claim: Claim | string;
}

/** Where cosign puts the signatures of a manifest; undefined when that would be no valid tag (sha512). */
export function signatureTag(digest: Digest): string | undefined {
  const tag = `${algorithmOf(digest)}-${hexOf(digest)}.sig`;
  return isTag(tag) ? tag : undefined;
}

/** @param artifact the bytes of the manifest that has this digest. */
export async function findSignatures(
  digest: Digest,
  artifact: Uint8Array,
  reader: SignatureReader,
): Promise<readonly Candidate[]> {
  const found: Candidate[] = [];
  const seen = new Set<string>();
  for (const place of await placesOf(digest, reader)) {
    found.push(...(await look(place, artifact, { reader, seen })));
  }
  return found;
}

type Place =
  | { readonly digest: Digest; readonly bytes: Uint8Array }
  | { readonly digest: Digest; readonly why: string };

/** The manifests that may hold signatures, each once. */
async function placesOf(digest: Digest, reader: SignatureReader): Promise<readonly Place[]> {
  const tagged = await underTag(digest, reader);
  const listed = await harmless(() => reader.referrers(digest));
  if (typeof listed === "string") {
    return [...tagged, { digest, why: `the list of what refers to it: ${listed}` }];
  }
  const referrers = listed
    .filter(({ artifactType }) => artifactType === SIGNATURE_ARTIFACT || isBundle(artifactType))
    .map((referrer) => referrer.digest)
    .filter((referrer) => tagged.every((place) => place.digest !== referrer));
  const places = [...tagged];
  for (const referrer of referrers.slice(0, MAX_MANIFESTS)) {
    const bytes = await harmless(() => reader.manifest(referrer));
    // Gone since it was listed.
    if (bytes === undefined) continue;
    places.push({ digest: referrer, ...(typeof bytes === "string" ? { why: bytes } : { bytes }) });
  }
  const more = referrers.length - MAX_MANIFESTS;
  if (more > 0) places.push({ digest, why: `${more} more refer to it than are looked at` });
  return places;
}

async function underTag(digest: Digest, reader: SignatureReader): Promise<readonly Place[]> {
  const tag = signatureTag(digest);
  if (tag === undefined) return [];
  const bytes = await harmless(() => reader.manifest(tag));
  if (bytes === undefined) return [];
  if (typeof bytes === "string") return [{ digest, why: `its tag ${tag}: ${bytes}` }];
  return [{ digest: digestOf(bytes), bytes }];
}

async function look(
  place: Place,
  artifact: Uint8Array,
  { reader, seen }: { readonly reader: SignatureReader; readonly seen: Set<string> },
): Promise<readonly Candidate[]> {
  const { digest } = place;
  if ("why" in place) return [{ digest, claim: place.why }];
  const manifest = await harmless(() => Promise.resolve(parseManifest(place.bytes, null)));
  if (typeof manifest === "string") return [{ digest, claim: manifest }];
  const layers = signatureLayers(manifest);
  if (layers.length === 0) return [{ digest, claim: "it holds no signature" }];
  const found: Candidate[] = [];
  for (const layer of layers.slice(0, MAX_LAYERS)) {
    // A manifest that got a further signature has those of its predecessor, which still refers.
    const key = `${layer.digest} ${layer.annotations[SIGNATURE_ANNOTATION] ?? ""}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const claim = await harmless(async () => {
      const bytes = await reader.blob(layer.digest);
      if (bytes === undefined) throw new SyntaxError("its content is not there");
      return layer.mediaType === SIMPLE_SIGNING
        ? parseSimpleSigning(layer, bytes)
        : parseBundle(bytes, artifact);
    });
    found.push({ digest, claim });
  }
  if (layers.length > MAX_LAYERS) {
    found.push({ digest, claim: `only the first ${MAX_LAYERS} of its signatures were looked at` });
  }
  return found;
}

function signatureLayers({ layers }: Manifest): Manifest["layers"] {
  return layers.filter(({ mediaType }) => mediaType === SIMPLE_SIGNING || isBundle(mediaType));
}

/** What is wrong with the content speaks against the content alone. Other errors are passed on. */
async function harmless<T>(read: () => Promise<T>): Promise<T | string> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SyntaxError) return error.message;
    throw error;
  }
}
