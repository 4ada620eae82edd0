// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A signature as cosign writes it: simple signing, in an image manifest that both refers to its
 * artifact (OCI 1.1) and is meant for the tag at which older tools look. Such a manifest holds the
 * signatures of all keys, so that a further one is added to those that are there.
 */
import { arrayAt, isObject, type JsonObject, property } from "../../base/json.ts";
import { type Digest, digestOf } from "../digest.ts";
import { MEDIA_TYPE } from "../manifest.ts";
import { SIGNATURE_ARTIFACT } from "./find.ts";
import { parseObject } from "./json-bytes.ts";
import type { Signer } from "./private-key.ts";
import { isSignedBy } from "./public-key.ts";
import { SIGNATURE_ANNOTATION, SIMPLE_SIGNING, simpleSigningPayload } from "./simple-signing.ts";

/** Of the artifact: what the signature refers to. */
export interface Subject {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Of its manifest, in bytes. */
  readonly size: number;
}

export interface SignatureManifest {
  /** To be pushed before the manifest. */
  readonly blobs: readonly Uint8Array<ArrayBuffer>[];
  readonly manifest: Uint8Array<ArrayBuffer>;
}

/**
 * @param reference where the artifact is: `host/repository`.
 * @param before the manifest under the signature tag; null when there is none.
 * @throws {SyntaxError} when `before` is not a manifest of signatures.
 */
export function signArtifact(
  subject: Subject,
  reference: string,
  signer: Signer,
  before: Uint8Array | null,
): SignatureManifest {
  const payload = simpleSigningPayload(subject.digest, reference);
  const signature = Buffer.from(signer.sign(payload)).toString("base64");
  const layer = {
    ...descriptor(SIMPLE_SIGNING, payload),
    annotations: { [SIGNATURE_ANNOTATION]: signature },
  };
  // First, because so many are looked at and no more: others must not push it out of sight.
  const layers = [layer, ...(before === null ? [] : othersIn(before, payload, signer))];
  const config = encode({
    architecture: "",
    os: "",
    config: {},
    rootfs: { type: "layers", diff_ids: layers.map((each) => property(each, "digest")) },
  });
  const manifest = encode({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.image,
    artifactType: SIGNATURE_ARTIFACT,
    config: descriptor("application/vnd.oci.image.config.v1+json", config),
    layers,
    subject,
  });
  return { blobs: [config, payload], manifest };
}

/** Signing again by the same key takes the place of the signature that it made before. */
function othersIn(
  before: Uint8Array,
  payload: Uint8Array<ArrayBuffer>,
  signer: Signer,
): readonly JsonObject[] {
  const own = digestOf(payload);
  return arrayAt(parseObject(before), "layers")
    .filter(isObject)
    .filter((layer) => {
      const signature = property(layer.annotations, SIGNATURE_ANNOTATION);
      if (layer.digest !== own || typeof signature !== "string") return true;
      return !isSignedBy(signer.publicKey, payload, Buffer.from(signature, "base64"));
    });
}

function descriptor(mediaType: string, content: Uint8Array) {
  return { mediaType, digest: digestOf(content), size: content.byteLength };
}

function encode(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}
