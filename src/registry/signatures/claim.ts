// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Digest } from "../digest.ts";
import { isSignedBy, type PublicKey } from "./public-key.ts";

/** What somebody is said to have signed. Nothing of it is true before a key has been found for it. */
export interface Claim {
  /** The bytes that the signatures are over. `digests` is read from them, or they are the artifact's manifest. */
  readonly message: Uint8Array;
  /** The message speaks of these artifacts: digests as it writes them. */
  readonly digests: readonly string[];
  /** Any of them will do. */
  readonly signatures: readonly Uint8Array[];
  /** It brings a certificate of its own, as sigstore's keyless signatures do. */
  readonly isKeyless: boolean;
}

/** @returns the names of the keys that made the claim about this digest, or why there are none. */
export function judge(
  claim: Claim,
  digest: Digest,
  keys: ReadonlyMap<string, PublicKey>,
): readonly string[] | string {
  const { message, signatures, digests, isKeyless } = claim;
  if (!digests.includes(digest)) {
    return `it is about another artifact, ${digests.join(", ").slice(0, 200) || "none"}`;
  }
  const signers = [...keys]
    .filter(([, key]) => signatures.some((signature) => isSignedBy(key, message, signature)))
    .map(([name]) => name);
  if (signers.length > 0) return signers;
  if (isKeyless) return "it is by a certificate (keyless), and only keys are supported";
  return `it was not made by ${nameKeys([...keys.keys()])}, or has been changed since`;
}

export function nameKeys(names: readonly string[]): string {
  return `${names.length === 1 ? "the key" : "any of the keys"} ${names.join(", ")}`;
}
