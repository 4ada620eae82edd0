// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The pull client: from a reference to the bytes of the one layer that matters. Nothing is kept in
 * memory or in a file on the way; `blob-stream.ts` carries the bytes.
 */
import type { Clock, Fetch, Log, Sleep } from "../../base/deps.ts";
import { ProvError } from "../../base/errors.ts";
import type { Millis } from "../../base/units.ts";
import { formatBytes } from "../../base/units.ts";
import { algorithmOf, type Digest, digestOf, parseDigest } from "../digest.ts";
import { type Descriptor, MANIFEST_MAX_BYTES, MEDIA_TYPE, parseManifest } from "../manifest.ts";
import { type BlobContent, streamBlob } from "./blob-stream.ts";
import { ask, askPatiently } from "./registry-request.ts";

export interface ArtifactSource {
  /** Base URL without `/v2/`: `http(s)://host:port`. */
  readonly registry: string;
  readonly repository: string;
  /** A tag or a digest. */
  readonly reference: string;
  /** Whole value of the Authorization header; only ever sent to `registry`. */
  readonly authorization: string | null;
  /** PEM of the CA that signed the registry's certificate; null for a public one or plain HTTP. */
  readonly ca: string | null;
}

export interface PullDeps {
  readonly fetch: Fetch;
  readonly sleep: Sleep;
  readonly now: Clock;
  readonly log: Log;
  /** How long to go on without a byte from the registry. Default: 15 min. */
  readonly patience?: Millis;
  /** After so long without a byte a connection is given up and a new one tried. Default: 60 s. */
  readonly stallAfter?: Millis;
  /** Called with the bytes of the blob that have come so far, for every chunk. */
  readonly onProgress?: (received: number) => void;
}

interface Layer extends BlobContent {
  readonly mediaType: string;
  /** File name, as oras writes it: annotation `org.opencontainers.image.title`. */
  readonly title?: string;
}

export interface ResolvedArtifact {
  readonly manifestDigest: Digest;
  readonly artifactType: string | undefined;
  /** The layer with the content. */
  readonly layer: Layer;
  readonly layers: readonly Layer[];
}

const ACCEPT = Object.values(MEDIA_TYPE).join(", ");

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
  const name = nameOf(source);
  const { bytes, contentType, served } = await fetchManifest(source, deps, signal);
  const asked = parseDigest(source.reference);
  const claimed = asked ?? parseDigest(served ?? "");
  const manifestDigest = digestOf(bytes, claimed === undefined ? "sha256" : algorithmOf(claimed));
  if (claimed !== undefined && claimed !== manifestDigest) {
    throw new ProvError(
      `Cannot use ${name}: its manifest has digest ${manifestDigest}, not ${claimed}`,
      { code: "ARTIFACT_INVALID" },
    );
  }
  const manifest = readManifest(name, bytes, contentType);
  if (manifest.kind !== "image") {
    throw new ProvError(`Cannot use ${name}: it is ${manifest.mediaType}, not one image`, {
      code: "ARTIFACT_INVALID",
      hint: "Name the manifest of one platform by its digest; `oras manifest fetch` shows them.",
    });
  }
  const layers = manifest.layers.map(layerOf);
  const { artifactType } = manifest;
  return { manifestDigest, artifactType, layers, layer: chooseLayer(name, layers) };
}

/**
 * Streams a layer, verified while it flows: the stream ends without an error only if every byte
 * came and the digest is right. A dropped connection is taken up again where it broke.
 *
 * @throws {ProvError} through the stream: as {@link resolveArtifact}.
 */
export function openBlob(
  source: ArtifactSource,
  layer: BlobContent,
  deps: PullDeps,
  signal?: AbortSignal,
): ReadableStream<Uint8Array> {
  return streamBlob(source, layer, deps, signal);
}

async function fetchManifest(
  source: ArtifactSource,
  deps: PullDeps,
  signal: AbortSignal | undefined,
): Promise<{ bytes: Uint8Array; contentType: string | null; served: string | null }> {
  const path = `/v2/${source.repository}/manifests/${source.reference}`;
  return await askPatiently(deps, nameOf(source), signal, async () => {
    const response = await ask(source, path, { accept: ACCEPT }, deps, signal);
    const bytes = await readLimited(nameOf(source), response);
    return {
      bytes,
      contentType: response.headers.get("content-type"),
      served: response.headers.get("docker-content-digest"),
    };
  });
}

async function readLimited(name: string, response: Response): Promise<Uint8Array> {
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

function readManifest(name: string, bytes: Uint8Array, contentType: string | null) {
  // A proxy may say anything; the manifest's own word is better than an octet stream.
  const isTold = contentType !== null && /manifest|index/.test(contentType);
  try {
    return parseManifest(bytes, isTold ? contentType : null);
  } catch (cause) {
    throw new ProvError(`Cannot use ${name}: its manifest is not valid`, {
      code: "ARTIFACT_INVALID",
      cause,
    });
  }
}

function layerOf({ digest, size, mediaType, annotations }: Descriptor): Layer {
  const title = annotations["org.opencontainers.image.title"];
  return { digest, size, mediaType, ...(title !== undefined && { title }) };
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
      hint: "Push one file as the artifact: oras push HOST/REPOSITORY:TAG root.tar.zst",
    },
  );
}

function nameOf({ repository, reference }: ArtifactSource): string {
  return `${repository}${reference.includes(":") ? "@" : ":"}${reference}`;
}
