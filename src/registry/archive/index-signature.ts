// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The signature over an archive's `index.json`. The index names everything by digest, so that it
 * vouches for the whole archive. openssl can check it too; docs/registry.md shows how.
 */
import { createHash } from "node:crypto";
import { stringAt } from "../../base/json.ts";
import type { Signer } from "../signatures/private-key.ts";
import { isSignedBy, type PublicKey } from "../signatures/public-key.ts";

/** `index.json.sig`, a JSON document. */
export interface IndexSignature {
  /** `sha256:` and the SHA-256 of the public key's SubjectPublicKeyInfo (RFC 5280, section 4.1) in DER. */
  readonly keyId: string;
  /** base64; over SHA-256 unless it is Ed25519's, ECDSA's in DER (RFC 3279, section 2.2.3). */
  readonly signature: string;
}

export function keyIdOf({ key }: PublicKey): string {
  const der = key.export({ type: "spki", format: "der" });
  return `sha256:${createHash("sha256").update(der).digest("hex")}`;
}

/** The text of `index.json.sig`. The same every time, except ECDSA's. */
export function signIndex(index: Uint8Array, signer: Signer): string {
  const signature: IndexSignature = {
    keyId: keyIdOf(signer.publicKey),
    signature: Buffer.from(signer.sign(index)).toString("base64"),
  };
  return `${JSON.stringify(signature)}\n`;
}

/** @throws {SyntaxError} */
export function parseSignature(text: string): IndexSignature {
  const document: unknown = JSON.parse(text);
  const keyId = stringAt(document, "keyId");
  const signature = stringAt(document, "signature");
  if (keyId !== undefined && signature !== undefined) return { keyId, signature };
  throw new SyntaxError("it has no keyId or no signature");
}

/** Why the signature does not vouch for the index. @returns undefined when it does. */
export function faultOf(
  { keyId, signature }: IndexSignature,
  index: Uint8Array,
  key: PublicKey,
): string | undefined {
  const known = keyIdOf(key);
  if (keyId !== known) return `it is signed by the key ${keyId}, and the key given is ${known}`;
  const isRight = isSignedBy(key, index, Buffer.from(signature, "base64"));
  return isRight ? undefined : "its index is not what was signed";
}
