// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import type { Digest } from "../digest.ts";
import type { PublicKey } from "../signatures/public-key.ts";
import { readContents, readIndex } from "./archive-contents.ts";
import { type Archive, damaged } from "./archive-file.ts";
import { type Artifact, nameOfArtifact } from "./archive-index.ts";
import { type Into, nameArtifacts } from "./archive-names.ts";
import { requireSigned, signatureOf } from "./archive-signature.ts";
import { type ImportStep, planImport, selectArtifacts } from "./import-plan.ts";

export interface ImportOptions {
  /** Of whoever must have signed the archive; null: whoever made it is trusted. */
  readonly key: PublicKey | null;
  readonly into: Into | null;
  /** Glob over the archive's repositories or `repository:tag`; null: all. */
  readonly only: string | null;
}

export interface PreparedImport {
  readonly artifacts: readonly Artifact[];
  readonly steps: readonly ImportStep[];
  /** Children of indexes that the archive does not have. */
  readonly absent: readonly Digest[];
  /** The key that the archive says it is signed with; undefined when it is not signed. */
  readonly keyId: string | undefined;
}

/**
 * From an archive to what is to be done. Nothing is believed before the signature has been checked.
 *
 * @throws {ProvError} `ARTIFACT_INVALID` for an archive that is damaged or hostile, `ARTIFACT_UNSIGNED` for
 *   one that is not signed by the key, `USAGE` when the options do not fit what is in it.
 */
export async function prepareImport(
  archive: Archive,
  { key, into, only }: ImportOptions,
): Promise<PreparedImport> {
  const index = await readIndex(archive);
  if (key !== null) await requireSigned(archive, index.bytes, key);
  const { manifests, absent } = await readContents(archive, index);
  const all = named(archive, () => nameArtifacts({ ...index, manifests }, into));
  const globs = only === null ? null : [only, ...(into ? [`${into.repository}/${only}`] : [])];
  const artifacts = selectArtifacts(all, manifests, globs);
  if (artifacts.length === 0) throw nothingFits(archive, only, all);
  const keyId = (await signatureOf(archive))?.keyId;
  return { artifacts, steps: planImport(artifacts, manifests), absent, keyId };
}

function named(archive: Archive, name: () => readonly Artifact[]): readonly Artifact[] {
  try {
    return name();
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw damaged(archive.path, error.message);
  }
}

const SHOWN = 5;

function nothingFits(archive: Archive, only: string | null, all: readonly Artifact[]): ProvError {
  const names = all.slice(0, SHOWN).map(nameOfArtifact).join(", ");
  return new ProvError(
    only === null
      ? `Cannot import ${archive.path}: there is nothing in it`
      : `Cannot import "${only}" from ${archive.path}: it has no such artifact`,
    {
      code: "USAGE",
      ...(names !== "" && { hint: `It has ${names}${all.length > SHOWN ? " and others" : ""}.` }),
    },
  );
}
