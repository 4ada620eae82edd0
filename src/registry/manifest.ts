// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Manifests as far as the registry and the pull client look into them. Their bytes are stored and
 * served exactly as they came; nothing here is ever written back.
 */
import { arrayAt, isObject, type JsonObject, property, stringAt } from "../base/json.ts";
import { type Digest, parseDigest } from "./digest.ts";

export const MEDIA_TYPE = {
  image: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  dockerImage: "application/vnd.docker.distribution.manifest.v2+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
} as const;

/** distribution-spec, "Pushing manifests": at least 4 MiB must be taken, and some limit is right. */
export const MANIFEST_MAX_BYTES = 4 * 1024 * 1024;

/**
 * RFC 6838, section 4.2. It becomes the Content-Type of what somebody else's browser may open, so
 * that `text/html` is none.
 */
const MANIFEST_TYPE = /^application\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations: Readonly<Record<string, string>>;
  /** True when the bytes live somewhere else by design (`urls`, or a non-distributable layer). */
  readonly isForeign: boolean;
}

export interface Manifest {
  readonly kind: "image" | "index" | "other";
  readonly mediaType: string;
  readonly artifactType: string | undefined;
  readonly config: Descriptor | undefined;
  readonly layers: readonly Descriptor[];
  /** An index's children. */
  readonly manifests: readonly Descriptor[];
  readonly subject: Descriptor | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

/**
 * Reads a manifest.
 * @param contentType what it was sent or served as; null when that was not said.
 * @throws {SyntaxError} when it is no JSON object, lacks what its type demands, or its own
 *   `mediaType` contradicts `contentType`.
 */
export function parseManifest(bytes: Uint8Array, contentType: string | null): Manifest {
  const json = parseJson(bytes);
  const mediaType = mediaTypeOf(json, contentType?.split(";", 1)[0]?.trim() || null);
  const kind = kindOf(mediaType);
  if (kind !== "other" && json.schemaVersion !== 2) {
    throw new SyntaxError("schemaVersion must be 2");
  }
  const config = json.config === undefined ? undefined : descriptor(json.config, "config");
  if (kind === "image" && (config === undefined || !Array.isArray(json.layers))) {
    throw new SyntaxError("an image manifest has a config and layers");
  }
  if (kind === "index" && !Array.isArray(json.manifests)) {
    throw new SyntaxError("an index has manifests");
  }
  return {
    kind,
    mediaType,
    artifactType:
      stringAt(json, "artifactType") || (kind === "image" ? config?.mediaType : undefined),
    config: kind === "image" ? config : undefined,
    layers: kind === "image" ? descriptors(json, "layers") : [],
    manifests: kind === "index" ? descriptors(json, "manifests") : [],
    subject: json.subject == null ? undefined : descriptor(json.subject, "subject"),
    annotations: annotationsOf(json),
  };
}

function parseJson(bytes: Uint8Array): JsonObject {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let json: unknown;
  try {
    json = JSON.parse(text.decode(bytes));
  } catch (cause) {
    throw new SyntaxError("it is not JSON", { cause });
  }
  if (!isObject(json)) throw new SyntaxError("it is not a JSON object");
  return json;
}

function mediaTypeOf(json: JsonObject, sent: string | null): string {
  const own = stringAt(json, "mediaType");
  if (own !== undefined && sent !== null && own !== sent) {
    throw new SyntaxError(`it says it is ${own} and was sent as ${sent}`);
  }
  const guessed = Array.isArray(json.manifests) ? MEDIA_TYPE.index : MEDIA_TYPE.image;
  const mediaType = own ?? sent ?? guessed;
  if (!MANIFEST_TYPE.test(mediaType)) {
    throw new SyntaxError(`${JSON.stringify(mediaType.slice(0, 200))} is no type of a manifest`);
  }
  return mediaType;
}

function kindOf(mediaType: string): Manifest["kind"] {
  if (mediaType === MEDIA_TYPE.image || mediaType === MEDIA_TYPE.dockerImage) return "image";
  if (mediaType === MEDIA_TYPE.index || mediaType === MEDIA_TYPE.dockerList) return "index";
  return "other";
}

function descriptors(json: JsonObject, key: string): Descriptor[] {
  return arrayAt(json, key).map((value, i) => descriptor(value, `${key}/${i}`));
}

function descriptor(value: unknown, where: string): Descriptor {
  const digest = parseDigest(stringAt(value, "digest") ?? "");
  const size = property(value, "size");
  const mediaType = stringAt(value, "mediaType");
  if (digest === undefined) throw new SyntaxError(`${where} has no valid digest`);
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw new SyntaxError(`${where} has no valid size`);
  }
  if (mediaType === undefined) throw new SyntaxError(`${where} has no mediaType`);
  const isForeign =
    arrayAt(value, "urls").length > 0 || /nondistributable|\.foreign\./.test(mediaType);
  return { mediaType, digest, size, annotations: annotationsOf(value), isForeign };
}

function annotationsOf(value: unknown): Record<string, string> {
  const found = property(value, "annotations");
  if (!isObject(found)) return {};
  return Object.fromEntries(
    Object.entries(found).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string",
    ),
  );
}
