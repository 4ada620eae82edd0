// SPDX-License-Identifier: AGPL-3.0-or-later

/** The algorithms prov stores and verifies, with the length of their hex form. */
const HEX_LENGTH = { sha256: 64, sha512: 128 } as const;

export type Algorithm = keyof typeof HEX_LENGTH;
export const ALGORITHMS: readonly Algorithm[] = ["sha256", "sha512"];

/** `algorithm:hex`, checked: safe as part of a path. */
export type Digest = `${Algorithm}:${string}`;

/**
 * Reads a digest (OCI image-spec, descriptor.md#digests).
 * @returns undefined when it is malformed or of an algorithm that prov does not know.
 */
export function parseDigest(text: string): Digest | undefined {
  const [algorithm, hex, ...rest] = text.split(":");
  const known = ALGORITHMS.find((a) => a === algorithm);
  if (known === undefined || hex === undefined || rest.length > 0) return undefined;
  if (hex.length !== HEX_LENGTH[known] || !/^[0-9a-f]+$/.test(hex)) return undefined;
  return `${known}:${hex}`;
}

export function digestOf(bytes: Uint8Array | string, algorithm: Algorithm = "sha256"): Digest {
  return `${algorithm}:${new Bun.CryptoHasher(algorithm).update(bytes).digest("hex")}`;
}

export function algorithmOf(digest: Digest): Algorithm {
  return digest.startsWith("sha512:") ? "sha512" : "sha256";
}

export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(":") + 1);
}
