// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * cosign's first format ("simple signing", cosign's SIGNATURE_SPEC.md): a JSON payload that names a
 * digest is a layer, and the signature over the payload is an annotation of that layer.
 */
import { stringAt } from "../../base/json.ts";
import type { Digest } from "../digest.ts";
import type { Descriptor } from "../manifest.ts";
import type { Claim } from "./claim.ts";
import { decodeBase64, parseObject } from "./json-bytes.ts";

export const SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json";
export const SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature";
const CERTIFICATE_ANNOTATION = "dev.sigstore.cosign/certificate";
const TYPE = "cosign container image signature";

/** @throws {SyntaxError} when it is not a signature of this format. */
export function parseSimpleSigning(layer: Descriptor, payload: Uint8Array): Claim {
  const signature = layer.annotations[SIGNATURE_ANNOTATION];
  if (signature === undefined) throw new SyntaxError("its layer has no signature");
  const json = parseObject(payload);
  if (stringAt(json, "critical", "type") !== TYPE) {
    throw new SyntaxError(`its payload is not a "${TYPE}"`);
  }
  // `docker-reference` is not looked at, as the format has it: an artifact keeps its signatures
  // when it is copied to another registry.
  const digest = stringAt(json, "critical", "image", "docker-manifest-digest");
  if (digest === undefined) throw new SyntaxError("its payload names no digest");
  return {
    message: payload,
    digests: [digest],
    signatures: [decodeBase64(signature)],
    isKeyless: layer.annotations[CERTIFICATE_ANNOTATION] !== undefined,
  };
}

/** @param reference where the artifact is, for people: `host/repository`. */
export function simpleSigningPayload(digest: Digest, reference: string): Uint8Array<ArrayBuffer> {
  const payload = {
    critical: {
      identity: { "docker-reference": reference },
      image: { "docker-manifest-digest": digest },
      type: TYPE,
    },
    optional: null,
  };
  return new TextEncoder().encode(JSON.stringify(payload));
}
