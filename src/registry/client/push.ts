// SPDX-License-Identifier: AGPL-3.0-or-later
import { basename } from "node:path";
import type { Fetch } from "../../base/deps.ts";
import { ProvError } from "../../base/errors.ts";
import { type Digest, digestOf } from "../digest.ts";

export interface PushTarget {
  /** `http(s)://host:port` */
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  readonly authorization: string | null;
  readonly ca: string | null;
}

export interface PushDeps {
  readonly fetch: Fetch;
  readonly signal: AbortSignal;
  /** Bytes hashed and then bytes sent, each of the file's size. */
  readonly onProgress: (phase: "hashing" | "sending", done: number, total: number) => void;
}

/** OCI image-spec, "Guidance for an empty descriptor". */
const EMPTY = { bytes: "{}", mediaType: "application/vnd.oci.empty.v1+json" } as const;
const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";

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
 * @throws {ProvError} `REGISTRY_UNREACHABLE`, `UNAUTHENTICATED`, `FORBIDDEN`, `STORAGE_FULL`, `ARTIFACT_INVALID`
 */
export async function pushFile(
  target: PushTarget,
  path: string,
  artifactType: string,
  deps: PushDeps,
): Promise<Digest> {
  const file = Bun.file(path);
  const digest = await hashFile(file, deps);
  await pushBlob(target, digest, file, deps);
  await pushBlob(target, digestOf(EMPTY.bytes), new Blob([EMPTY.bytes]), deps);

  const layerType = LAYER_TYPES.find(([suffix]) => suffix.test(path))?.[1];
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    artifactType,
    config: { mediaType: EMPTY.mediaType, digest: digestOf(EMPTY.bytes), size: EMPTY.bytes.length },
    layers: [
      {
        mediaType: layerType ?? "application/octet-stream",
        digest,
        size: file.size,
        annotations: { "org.opencontainers.image.title": basename(path) },
      },
    ],
  });
  await send(target, "PUT", `manifests/${target.tag}`, deps, {
    body: manifest,
    headers: { "content-type": MANIFEST_TYPE },
  });
  return digestOf(manifest);
}

async function hashFile(file: Bun.BunFile, deps: PushDeps): Promise<Digest> {
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

/** OCI distribution-spec, "Pushing a blob monolithically", POST then PUT. */
async function pushBlob(
  target: PushTarget,
  digest: Digest,
  content: Blob,
  deps: PushDeps,
): Promise<void> {
  const known = await send(target, "HEAD", `blobs/${digest}`, deps, {}, [404]);
  if (known.ok) return;
  const begun = await send(target, "POST", "blobs/uploads/", deps, {});
  const location = begun.headers.get("location");
  if (location === null) throw refused(target, "it named no place for the upload");
  const url = new URL(location, `${target.registry}/`);
  url.searchParams.set("digest", digest);
  await sendTo(target, "PUT", url.href, deps, {
    body: content,
    headers: { "content-type": "application/octet-stream" },
  });
  deps.onProgress("sending", content.size, content.size);
}

function send(
  target: PushTarget,
  method: string,
  path: string,
  deps: PushDeps,
  init: RequestInit,
  allowed: readonly number[] = [],
): Promise<Response> {
  return sendTo(
    target,
    method,
    `${target.registry}/v2/${target.repository}/${path}`,
    deps,
    init,
    allowed,
  );
}

const CODE_BY_STATUS = { 401: "UNAUTHENTICATED", 403: "FORBIDDEN", 507: "STORAGE_FULL" } as const;

async function sendTo(
  target: PushTarget,
  method: string,
  url: string,
  deps: PushDeps,
  init: RequestInit,
  allowed: readonly number[] = [],
): Promise<Response> {
  const headers = new Headers(init.headers);
  if (target.authorization !== null) headers.set("authorization", target.authorization);
  let response: Response;
  try {
    response = await deps.fetch(url, {
      ...init,
      method,
      headers,
      signal: deps.signal,
      ...(target.ca !== null && { tls: { ca: target.ca } }),
    });
  } catch (error) {
    deps.signal.throwIfAborted();
    throw new ProvError(`Cannot push to ${target.registry}`, {
      code: "REGISTRY_UNREACHABLE",
      cause: error,
    });
  }
  if (response.ok || allowed.includes(response.status)) return response;
  const text = (await response.text()).slice(0, 300);
  const code = CODE_BY_STATUS[response.status as keyof typeof CODE_BY_STATUS];
  throw refused(target, `HTTP ${response.status}: ${text}`, code);
}

function refused(
  target: PushTarget,
  why: string,
  code:
    | (typeof CODE_BY_STATUS)[keyof typeof CODE_BY_STATUS]
    | "ARTIFACT_INVALID" = "ARTIFACT_INVALID",
): ProvError {
  return new ProvError(`Cannot push ${target.repository}:${target.tag} to ${target.registry}`, {
    code,
    cause: why,
  });
}
