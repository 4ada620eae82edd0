// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A file on its way to becoming an artifact: what it is, its hash, its bytes, its manifest.
 */
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { ProvError } from "../../base/errors.ts";
import { type Digest, digestOf } from "../digest.ts";
import { MEDIA_TYPE } from "../manifest.ts";
import { type Detected, detectContent, HEAD_BYTES, type Unxz } from "./detect.ts";
import { pushManifest } from "./manifest-transfer.ts";
import { ARTIFACT_KINDS, KIND_OF_FORMAT, layerMediaType } from "./media-types.ts";
import { type PushDeps, pushBlob, pushStream } from "./push-blob.ts";
import { readFile } from "./read-file.ts";
import { recompressed } from "./recompress.ts";
import type { Remote } from "./remote.ts";
import { changed } from "./upload.ts";

export interface PushTarget extends Remote {
  readonly tag: string;
}

export interface FileToPush {
  readonly path: string;
  /** Undefined: told by the content. */
  readonly artifactType?: string | undefined;
  /** Compresses a tar with zstd on the way, whatever it is packed with now. */
  readonly zstdLevel?: number | undefined;
}

type Phase = "hashing" | "sending" | "compressing";

export interface PushFileDeps extends Omit<PushDeps, "onProgress"> {
  readonly signal: AbortSignal;
  /** Where there is none, xz files cannot be looked into or compressed again. */
  readonly unxz?: Unxz | undefined;
  /** Bytes of the file: hashed and then sent, or compressed and sent at once. */
  readonly onProgress: (phase: Phase, done: number, total: number) => void;
}

export interface PushedFile {
  /** Of the manifest. */
  readonly digest: Digest;
  readonly artifactType: string;
  readonly layer: {
    readonly digest: Digest;
    readonly size: number;
    readonly mediaType: string;
    readonly title: string;
  };
}

/** OCI image-spec, "Guidance for an empty descriptor". */
const EMPTY = { bytes: "{}", mediaType: "application/vnd.oci.empty.v1+json" } as const;

/**
 * Pushes one file as an artifact with one layer, as `oras push` does. A blob that the registry already has
 * is not sent again.
 *
 * @throws {ProvError} as pushBlob; `CONFLICT` when the file changes meanwhile; `USAGE` when it is no
 *   file, or not one that can be compressed.
 */
export async function pushFile(
  target: PushTarget,
  file: FileToPush,
  deps: PushFileDeps,
): Promise<PushedFile> {
  const { path } = file;
  const before = await stat(path);
  if (!before.isFile()) {
    throw new ProvError(`Cannot push ${path}: it is not a regular file`, { code: "USAGE" });
  }
  const title = basename(path);
  const head = await Bun.file(path).slice(0, HEAD_BYTES).bytes();
  const detected = await detectContent(head, title, deps.unxz);
  const requireSame = async () => {
    const { size, mtimeMs } = await stat(path);
    if (size !== before.size || mtimeMs !== before.mtimeMs) throw changed(path);
  };

  const layer =
    file.zstdLevel === undefined || detected.compression === "zstd"
      ? await pushAsItIs(target, { path, title, size: before.size, detected, requireSame }, deps)
      : await pushCompressed(
          target,
          { path, title, size: before.size, detected, level: file.zstdLevel },
          deps,
        );
  await requireSame();
  const artifactType =
    file.artifactType ?? ARTIFACT_KINDS[KIND_OF_FORMAT[detected.format]].artifactType;
  const digest = await pushArtifactManifest(target, artifactType, layer, deps);
  return { digest, artifactType, layer };
}

type Layer = PushedFile["layer"];

interface ReadFile {
  readonly path: string;
  readonly title: string;
  readonly size: number;
  readonly detected: Detected;
}

async function pushAsItIs(
  target: PushTarget,
  file: ReadFile & { requireSame(): Promise<void> },
  deps: PushFileDeps,
): Promise<Layer> {
  const { path, title, size, detected } = file;
  const digest = await hashFile(path, size, deps);
  await file.requireSame();
  const open = (start: number, end: number) => Bun.file(path).slice(start, end);
  const onProgress = (sent: number) => deps.onProgress("sending", sent, size);
  await pushBlob(target, { digest, size, open }, { ...deps, onProgress });
  const mediaType = layerMediaType(detected.format, detected.compression);
  return { digest, size, mediaType, title };
}

async function pushCompressed(
  target: PushTarget,
  file: ReadFile & { readonly level: number },
  deps: PushFileDeps,
): Promise<Layer> {
  const { path, size: total, level } = file;
  const { format, compression } = file.detected;
  if (format !== "tar" || compression === "zstd") {
    throw new ProvError(`Cannot compress ${path}: it is not a tar`, {
      code: "USAGE",
      hint: "Only tars are compressed on the way, plain ones or those packed with gzip or xz.",
    });
  }
  const { unxz } = deps;
  const onRead = (done: number) => deps.onProgress("compressing", done, total);
  const open = () => recompressed({ path, compression, level, unxz, onRead });
  const pushed = await pushStream(target, open, withoutProgress(deps));
  const title = `${file.title.replace(/\.(?:tar(?:\.\w+)?|t[gx]z)$/i, "")}.tar.zst`;
  return { ...pushed, mediaType: layerMediaType("tar", "zstd"), title };
}

async function hashFile(path: string, size: number, deps: PushFileDeps): Promise<Digest> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const piece of readFile(path, (done) => deps.onProgress("hashing", done, size))) {
    deps.signal.throwIfAborted();
    hasher.update(piece);
  }
  return `sha256:${hasher.digest("hex")}`;
}

async function pushArtifactManifest(
  target: PushTarget,
  artifactType: string,
  { title, ...layer }: Layer,
  deps: PushFileDeps,
): Promise<Digest> {
  const quiet = withoutProgress(deps);
  const empty = new Blob([EMPTY.bytes]);
  const config = { digest: digestOf(EMPTY.bytes), size: empty.size };
  await pushBlob(target, { ...config, open: (start, end) => empty.slice(start, end) }, quiet);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.image,
    artifactType,
    config: { mediaType: EMPTY.mediaType, ...config },
    layers: [
      {
        mediaType: layer.mediaType,
        digest: layer.digest,
        size: layer.size,
        annotations: { "org.opencontainers.image.title": title },
      },
    ],
  });
  const told = { bytes: manifest, mediaType: MEDIA_TYPE.image };
  return await pushManifest(target, target.tag, told, quiet, deps.signal);
}

function withoutProgress({ onProgress: _, ...deps }: PushFileDeps): PushDeps {
  return deps;
}
