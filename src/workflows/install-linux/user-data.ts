// SPDX-License-Identifier: AGPL-3.0-or-later
import { sha256Hex } from "../../plan/hash.ts";

/** How cloud-init tells what user data is (cloud-init documentation, "User data formats"). */
const HEADER = /^(?:#!|#cloud-|#include|#part-handler|## template:|content-type:|mime-version:)/i;

export interface UserData {
  /** How the recipe holds it. */
  readonly encoding: "none" | "base64";
  /** SHA-256 of what cloud-init shall read, lower-case hex. */
  readonly sha256: string;
}

/**
 * Tells plain user data from base64 of it: text that is base64 throughout and decodes to something with one
 * of cloud-init's headers is taken for base64, everything else is taken as it is.
 */
export function readUserData(text: string): UserData {
  const decoded = decodeBase64(text);
  if (decoded === undefined || !HEADER.test(String.fromCharCode(...decoded.subarray(0, 32)))) {
    return { encoding: "none", sha256: sha256Hex(text) };
  }
  return { encoding: "base64", sha256: sha256Hex(decoded) };
}

function decodeBase64(text: string): Uint8Array | undefined {
  const packed = text.replace(/\s+/g, "");
  if (packed.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(packed)) return undefined;
  return Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
}
