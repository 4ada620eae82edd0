// SPDX-License-Identifier: AGPL-3.0-or-later
import { basename } from "node:path";
import { type Digest, digestOf } from "../digest.ts";
import { MEDIA_TYPE } from "../manifest.ts";
import { pushManifest } from "./manifest-transfer.ts";
import { type PushDeps, pushBlob } from "./push-blob.ts";
import type { Remote } from "./remote.ts";
import { changed } from "./upload.ts";

export interface PushTarget extends Remote {
  readonly tag: string;
}

export interface PushFileDeps extends Omit<PushDeps, "onProgress"> {
  readonly signal: AbortSignal;
  /** Bytes hashed and then bytes sent, each of the file's size. */
  readonly onProgress: (phase: "hashing" | "sending", done: number, total: number) => void;
}

/** OCI image-spec, "Guidance for an empty descriptor". */
const EMPTY = { bytes: "{}", mediaType: "application/vnd.oci.empty.v1+json" } as const;

/** Layer media types by file name (OCI image-spec, media-types.md); what is none of them is an octet stream. */
const LAYER_TYPES: readonly (readonly [suffix: RegExp, mediaType: string])[] = [
  [/\.tar$/, "application/vnd.oci.image.layer.v1.tar"],
  [/\.(?:tar\.gz|tgz)$/, "application/vnd.oci.image.layer.v1.tar+gzip"],
  [/\.(?:tar\.zst|tzst)$/, "application/vnd.oci.image.layer.v1.tar+zstd"],
];

/**
 * Pushes one file as an artifact with one layer, as `oras push` does. A blob that the registry already has
 * is not sent again.
 *
 * @returns the digest of the manifest.
 * @throws {ProvError} as pushBlob; `CONFLICT` when the file changes meanwhile.
 */
export async function pushFile(
  target: PushTarget,
  path: string,
  artifactType: string,
  deps: PushFileDeps,
): Promise<Digest> {
  const file = Bun.file(path);
  const before = await file.stat();
  const digest = await hashFile(file, deps);
  const { size } = before;
  const open = (start: number, end: number) => Bun.file(path).slice(start, end);
  const onProgress = (sent: number) => deps.onProgress("sending", sent, size);
  await pushBlob(target, { digest, size, open }, { ...deps, onProgress });
  const after = await Bun.file(path).stat();
  if (after.size !== size || after.mtimeMs !== before.mtimeMs) throw changed();
  const empty = new Blob([EMPTY.bytes]);
  const config = { digest: digestOf(EMPTY.bytes), size: empty.size };
  await pushBlob(target, { ...config, open: (s, e) => empty.slice(s, e) }, withoutProgress(deps));

  const layerType = LAYER_TYPES.find(([suffix]) => suffix.test(path))?.[1];
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.image,
    artifactType,
    config: { mediaType: EMPTY.mediaType, ...config },
    layers: [
      {
        mediaType: layerType ?? "application/octet-stream",
        digest,
        size,
        annotations: { "org.opencontainers.image.title": basename(path) },
      },
    ],
  });
  const told = { bytes: manifest, mediaType: MEDIA_TYPE.image };
  return await pushManifest(target, target.tag, told, withoutProgress(deps), deps.signal);
}

async function hashFile(file: Bun.BunFile, deps: PushFileDeps): Promise<Digest> {
  const hasher = new Bun.CryptoHasher("sha256");
  let done = 0;
  for await (const chunk of file.stream()) {
    deps.signal.throwIfAborted();
    hasher.update(chunk);
    done += chunk.length;
    deps.onProgress("hashing", done, file.size);
  }
  return `sha256:${hasher.digest("hex")}`;
}

function withoutProgress({ onProgress: _, ...deps }: PushFileDeps): PushDeps {
  return deps;
}
