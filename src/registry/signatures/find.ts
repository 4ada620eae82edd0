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

/**
 * Gives one after another, each read when it is asked for: all of them together may have half a gigabyte.
 * @param artifact the bytes of the manifest that has this digest.
 */
export async function* findSignatures(
  digest: Digest,
  artifact: Uint8Array,
  reader: SignatureReader,
): AsyncGenerator<Candidate> {
  const seen = new Set<string>();
  for await (const place of placesOf(digest, reader)) {
    yield* look(place, artifact, { reader, seen });
  }
}

type Place =
  | { readonly digest: Digest; readonly bytes: Uint8Array }
  | { readonly digest: Digest; readonly why: string };

/** The manifests that may hold signatures, each once. */
async function* placesOf(digest: Digest, reader: SignatureReader): AsyncGenerator<Place> {
  const tagged = await underTag(digest, reader);
  if (tagged !== undefined) yield tagged;
  const listed = await harmless(() => reader.referrers(digest));
  if (typeof listed === "string") {
    yield { digest, why: `the list of what refers to it: ${listed}` };
    return;
  }
  const referrers = listed
    .filter(({ artifactType }) => artifactType === SIGNATURE_ARTIFACT || isBundle(artifactType))
    .map((referrer) => referrer.digest)
    .filter((referrer) => referrer !== tagged?.digest);
  for (const referrer of referrers.slice(0, MAX_MANIFESTS)) {
    const bytes = await harmless(() => reader.manifest(referrer));
    // Gone since it was listed.
    if (bytes === undefined) continue;
    yield { digest: referrer, ...(typeof bytes === "string" ? { why: bytes } : { bytes }) };
  }
  const more = referrers.length - MAX_MANIFESTS;
  if (more > 0) yield { digest, why: `${more} more refer to it than are looked at` };
}

async function underTag(digest: Digest, reader: SignatureReader): Promise<Place | undefined> {
  const tag = signatureTag(digest);
  if (tag === undefined) return undefined;
  const bytes = await harmless(() => reader.manifest(tag));
  if (bytes === undefined) return undefined;
  if (typeof bytes === "string") return { digest, why: `its tag ${tag}: ${bytes}` };
  return { digest: digestOf(bytes), bytes };
}

async function* look(
  place: Place,
  artifact: Uint8Array,
  { reader, seen }: { readonly reader: SignatureReader; readonly seen: Set<string> },
): AsyncGenerator<Candidate> {
  const { digest } = place;
  const layers =
    "why" in place
      ? place.why
      : await harmless(() => Promise.resolve(signatureLayers(place.bytes)));
  if (typeof layers === "string") {
    yield { digest, claim: layers };
    return;
  }
  for (const layer of layers.slice(0, MAX_LAYERS)) {
    // A manifest that got a further signature has those of its predecessor, which still refers.
    const key = `${layer.mediaType} ${layer.digest} ${layer.annotations[SIGNATURE_ANNOTATION] ?? ""}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const claim = await harmless(async () => {
      const bytes = await reader.blob(layer.digest);
      if (bytes === undefined) throw new SyntaxError("its content is not there");
      return layer.mediaType === SIMPLE_SIGNING
        ? parseSimpleSigning(layer, bytes)
        : parseBundle(bytes, artifact);
    });
    yield { digest, claim };
  }
  if (layers.length > MAX_LAYERS) {
    yield { digest, claim: `only the first ${MAX_LAYERS} of its signatures were looked at` };
  }
}

/** @throws {SyntaxError} when there are none. */
function signatureLayers(bytes: Uint8Array): Manifest["layers"] {
  const layers = parseManifest(bytes, null).layers.filter(
    ({ mediaType }) => mediaType === SIMPLE_SIGNING || isBundle(mediaType),
  );
  if (layers.length === 0) throw new SyntaxError("it holds no signature");
  return layers;
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
