// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The pull client: from a reference to the bytes of the one layer that matters. Nothing is kept in
 * memory or in a file on the way; `blob-stream.ts` carries the bytes.
 */
import { ProvError } from "../../base/errors.ts";
import { formatBytes, type Millis } from "../../base/units.ts";
import type { Digest } from "../digest.ts";
import { type Descriptor, type Manifest, parseManifest } from "../manifest.ts";
import { type BlobContent, streamBlob, type WantedBlob } from "./blob-stream.ts";
import { fetchManifest } from "./manifest-transfer.ts";
import { type ClientDeps, nameOf, type Remote } from "./remote.ts";

export interface ArtifactSource extends Remote {
  /** A tag or a digest. */
  readonly reference: string;
}

export interface PullDeps extends ClientDeps {
  /** After so long without a byte a connection is given up and a new one tried. Default: 60 s. */
  readonly stallAfter?: Millis;
  /** Called with the bytes of the blob that have come so far, for every chunk. */
  readonly onProgress?: (received: number) => void;
}

export interface Layer extends BlobContent {
  readonly mediaType: string;
  /** File name, as oras writes it: annotation `org.opencontainers.image.title`. */
  readonly title?: string;
  /** True for a tar of a directory that oras has made, and would unpack again. */
  readonly isDirectory: boolean;
}

export interface ArtifactContent {
  readonly manifestDigest: Digest;
  readonly artifactType: string | undefined;
  readonly layers: readonly Layer[];
}

export interface ResolvedArtifact extends ArtifactContent {
  /** The layer with the content. */
  readonly layer: Layer;
}

/**
 * Fetches and verifies the manifest, and chooses its layer.
 *
 * @throws {ProvError} `UNAUTHENTICATED`, `FORBIDDEN`, `ARTIFACT_NOT_FOUND`, `ARTIFACT_INVALID` (not
 *   an image manifest, not one layer that fits, or bytes that are not the digest's), or
 *   `REGISTRY_UNREACHABLE` after the patience is used up.
 */
export async function resolveArtifact(
  source: ArtifactSource,
  deps: PullDeps,
  signal?: AbortSignal,
): Promise<ResolvedArtifact> {
  const content = await resolveLayers(source, deps, signal);
  return { ...content, layer: chooseLayer(nameOf(source, source.reference), content.layers) };
}

/** Fetches and verifies the manifest. @throws {ProvError} as {@link resolveArtifact}. */
export async function resolveLayers(
  source: ArtifactSource,
  deps: ClientDeps,
  signal?: AbortSignal,
): Promise<ArtifactContent> {
  const { digest, manifest } = await fetchParsed(source, source.reference, deps, signal);
  if (manifest.kind !== "image") {
    const name = nameOf(source, source.reference);
    throw new ProvError(`Cannot use ${name}: it is ${manifest.mediaType}, not one image`, {
      code: "ARTIFACT_INVALID",
      hint: "Name the manifest of one platform by its digest; `oras manifest fetch` shows them.",
    });
  }
  const { artifactType } = manifest;
  return { manifestDigest: digest, artifactType, layers: manifest.layers.map(layerOf) };
}

/**
 * Streams a layer, verified while it flows: the stream ends without an error only if every byte
 * came and the digest is right. A dropped connection is taken up again where it broke.
 *
 * @throws {ProvError} through the stream: as {@link resolveArtifact}.
 */
export function openBlob(
  source: Remote,
  layer: WantedBlob,
  deps: PullDeps,
  signal?: AbortSignal,
): ReadableStream<Uint8Array> {
  return streamBlob(source, layer, deps, signal);
}

/** Fetches a manifest of any kind. @throws {ProvError} as fetchManifest. */
export async function fetchParsed(
  source: Remote,
  reference: string,
  deps: ClientDeps,
  signal?: AbortSignal,
): Promise<{ digest: Digest; manifest: Manifest }> {
  const { bytes, digest, contentType } = await fetchManifest(source, reference, deps, signal);
  try {
    return { digest, manifest: parseManifest(bytes, contentType) };
  } catch (cause) {
    throw new ProvError(`Cannot use ${nameOf(source, reference)}: its manifest is not valid`, {
      code: "ARTIFACT_INVALID",
      cause,
    });
  }
}

function layerOf({ digest, size, mediaType, annotations }: Descriptor): Layer {
  const title = annotations["org.opencontainers.image.title"];
  const isDirectory = annotations["io.deis.oras.content.unpack"] === "true";
  return { digest, size, mediaType, isDirectory, ...(title !== undefined && { title }) };
}

/** The best guess first; each is taken only if exactly one layer fits it. */
const FITS: readonly RegExp[] = [/rootfs/i, /\btar\b|\.t(?:gz|xz|zst)$/i];

function chooseLayer(name: string, layers: readonly Layer[]): Layer {
  const [only, ...others] = layers;
  if (only !== undefined && others.length === 0) return only;
  for (const pattern of FITS) {
    const [fit, ...more] = layers.filter(
      ({ title, mediaType }) => pattern.test(title ?? "") || pattern.test(mediaType),
    );
    if (fit !== undefined && more.length === 0) return fit;
  }
  const list = layers.map(
    ({ title, mediaType, size }) => `${title ?? "(untitled)"} (${mediaType}, ${formatBytes(size)})`,
  );
  throw new ProvError(
    `Cannot use ${name}: it has ${layers.length} layers and none stands out: ${list.join("; ") || "none at all"}`,
    {
      code: "ARTIFACT_INVALID",
      hint: "Push one file as the artifact, or fetch all of them: prov artifact pull --all.",
    },
  );
}
