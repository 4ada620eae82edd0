// SPDX-License-Identifier: AGPL-3.0-or-later
import { createPublicKey, type KeyObject } from "node:crypto";

const CURVES = ["prime256v1", "secp384r1"];
const RSA_BITS_MIN = 2048;

/** Whether it is one public key in PEM (SubjectPublicKeyInfo) of a kind that signatures are checked with. */
export function isPublicKey(pem: string): boolean {
  // createPublicKey() would take a private key or a certificate as well.
  if (!/^\s*-----BEGIN PUBLIC KEY-----[^-]*-----END PUBLIC KEY-----\s*$/.test(pem)) return false;
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    return false;
  }
  const { namedCurve = "", modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "ec":
      return CURVES.includes(namedCurve);
    case "ed25519":
      return true;
    case "rsa":
      return modulusLength >= RSA_BITS_MIN;
    default:
      return false;
  }
}
