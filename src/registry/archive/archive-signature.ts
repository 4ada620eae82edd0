// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import type { PublicKey } from "../signatures/public-key.ts";
import { type Archive, damaged, readEntry } from "./archive-file.ts";
import { SIGNATURE_NAME } from "./archive-plan.ts";
import { faultOf, type IndexSignature, parseSignature } from "./index-signature.ts";

/** A signature is one line. */
const SIGNATURE_MAX_BYTES = 64 * 1024;

/** The signature that an archive carries, unchecked; undefined when it has none. @throws {ProvError} `ARTIFACT_INVALID` */
export async function signatureOf(archive: Archive): Promise<IndexSignature | undefined> {
  if ((await archive.entry(SIGNATURE_NAME)) === undefined) return undefined;
  const bytes = await readEntry(archive, SIGNATURE_NAME, SIGNATURE_MAX_BYTES);
  try {
    return parseSignature(new TextDecoder().decode(bytes));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw damaged(archive.path, `its ${SIGNATURE_NAME} is not valid: ${error.message}`);
  }
}

/** @throws {ProvError} `ARTIFACT_UNSIGNED` when the archive is not signed by `key`. */
export async function requireSigned(
  archive: Archive,
  index: Uint8Array,
  key: PublicKey,
): Promise<void> {
  const signature = await signatureOf(archive);
  const fault = signature === undefined ? "it is not signed" : faultOf(signature, index, key);
  if (fault === undefined) return;
  throw new ProvError(`Cannot trust the archive ${archive.path}: ${fault}`, {
    code: "ARTIFACT_UNSIGNED",
    hint: "Nothing was imported. Check the key, and ask whoever made the archive.",
  });
}
