// SPDX-License-Identifier: AGPL-3.0-or-later
import { constants, createPublicKey, type KeyObject, verify } from "node:crypto";

/** One way in which a key's signatures are made. */
interface Scheme {
  /** Null: the key's own (Ed25519, RFC 8032: pure, not Ed25519ph). */
  readonly hash: "sha256" | "sha384" | null;
  readonly padding?: number;
}

/** A key that is good enough, with every scheme in which cosign signs by such a key. */
export interface PublicKey {
  readonly key: KeyObject;
  readonly schemes: readonly Scheme[];
}

const { RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING } = constants;

/** cosign signs over SHA-256 whatever the curve; sigstore's bundles go by the curve's size. */
const BY_CURVE: Readonly<Record<string, readonly Scheme[]>> = {
  prime256v1: [{ hash: "sha256" }],
  secp384r1: [{ hash: "sha384" }, { hash: "sha256" }],
};

const RSA: readonly Scheme[] = [
  { hash: "sha256", padding: RSA_PKCS1_PADDING },
  { hash: "sha256", padding: RSA_PKCS1_PSS_PADDING },
];
const RSA_MIN_BITS = 2048;

/**
 * Reads a public key in PEM (`PUBLIC KEY`, RFC 7468, or `RSA PUBLIC KEY`).
 *
 * @throws {SyntaxError} for anything else, in particular a private key, and for keys that are not
 *   ECDSA P-256 or P-384, Ed25519, or RSA of at least 2048 bits.
 */
export function parsePublicKey(pem: string): PublicKey {
  const labels = Array.from(pem.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----/g), (m) => m[1] ?? "");
  const [label, ...more] = labels;
  if (label === undefined) throw new SyntaxError("it is not PEM");
  if (label.endsWith("PRIVATE KEY")) {
    throw new SyntaxError("it is a private key: give its public key, and keep this one secret");
  }
  if (more.length > 0 || !label.endsWith("PUBLIC KEY")) {
    throw new SyntaxError(`it has ${labels.join(", ")} where one PUBLIC KEY is due`);
  }
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (cause) {
    throw new SyntaxError("it is damaged, or of a kind that is not supported", { cause });
  }
  return { key, schemes: schemesOf(key) };
}

/** Whether {@link parsePublicKey} takes it. */
export function isPublicKey(pem: string): boolean {
  try {
    parsePublicKey(pem);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

/** @throws {SyntaxError} when the key is of no kind that prov takes. */
export function schemesOf(key: KeyObject): readonly Scheme[] {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "ed25519") return [{ hash: null }];
  if (type === "ec") {
    const curve = details?.namedCurve ?? "unknown";
    const schemes = BY_CURVE[curve];
    if (schemes !== undefined) return schemes;
    throw new SyntaxError(`its curve ${curve} is not P-256 or P-384`);
  }
  if (type === "rsa") {
    const bits = details?.modulusLength ?? 0;
    if (bits >= RSA_MIN_BITS) return RSA;
    throw new SyntaxError(`it is RSA of ${bits} bits, and ${RSA_MIN_BITS} are the least`);
  }
  throw new SyntaxError(`it is ${type}, not ECDSA, Ed25519 or RSA`);
}

/** Whether the key made this signature over the message, in any of its schemes. */
export function isSignedBy(
  { key, schemes }: PublicKey,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  return schemes.some(({ hash, padding }) =>
    verify(hash, message, { key, ...(padding !== undefined && { padding }) }, signature),
  );
}
