// SPDX-License-Identifier: AGPL-3.0-or-later
import { createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import { ProvError } from "../../base/errors.ts";
import { isSignedBy, type PublicKey, schemesOf } from "./public-key.ts";

export interface Signer {
  readonly publicKey: PublicKey;
  /** As cosign signs with such a key: ECDSA in DER, RSA with PKCS #1 v1.5. */
  sign(message: Uint8Array): Uint8Array;
}

const MAKE_ONE =
  "Make a key with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -out prov.key`.";

/**
 * Reads a private key in PEM: PKCS #8, SEC 1 or PKCS #1, plain or protected by a password.
 *
 * @param name of its file, for the message.
 * @throws {ProvError} `USAGE`
 */
export function parsePrivateKey(pem: string, password: string | null, name: string): Signer {
  if (/ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY/.test(pem)) {
    throw new ProvError(`Cannot use the key ${name}: it is in cosign's own encrypted form`, {
      code: "USAGE",
      hint: "Sign with cosign itself, whose signatures prov verifies, or make a key with openssl and give it to both.",
    });
  }
  const key = readKey(pem, password, name);
  const schemes = acceptedSchemes(key, name);
  // Over SHA-256 whatever the curve: that is what `cosign verify --key` looks for.
  const hash = key.asymmetricKeyType === "ed25519" ? null : "sha256";
  const publicKey = { key: createPublicKey(key), schemes };
  return {
    publicKey,
    sign(message) {
      const signature = sign(hash, message, key);
      if (!isSignedBy(publicKey, message, signature)) {
        throw new TypeError("A signature does not verify with its own key");
      }
      return signature;
    },
  };
}

function readKey(pem: string, password: string | null, name: string): KeyObject {
  try {
    return createPrivateKey({
      key: pem,
      format: "pem",
      ...(password !== null && { passphrase: password }),
    });
  } catch (cause) {
    const { why, hint } = explain(cause);
    throw new ProvError(`Cannot use the key ${name}: ${why}`, { code: "USAGE", cause, hint });
  }
}

function acceptedSchemes(key: KeyObject, name: string): PublicKey["schemes"] {
  try {
    return schemesOf(key);
  } catch (cause) {
    throw new ProvError(`Cannot use the key ${name}`, { code: "USAGE", cause, hint: MAKE_ONE });
  }
}

function explain(cause: unknown): { why: string; hint: string } {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "ERR_MISSING_PASSPHRASE") {
    return { why: "it needs a password", hint: "Give it with --password-file=FILE." };
  }
  if (code.includes("BAD_DECRYPT")) {
    return { why: "the password is wrong", hint: "Look at what --password-file names." };
  }
  if (code.includes("KEY_DERIVATION")) {
    return {
      why: "its password is protected in a way that is not supported",
      hint: "Write it anew with `openssl pkcs8 -topk8 -v2 aes256`, which takes PBKDF2.",
    };
  }
  return { why: "it is no private key in PEM", hint: MAKE_ONE };
}
