// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What an archive holds: the manifests that its index leads to, read and verified. The bytes stay in
 * the archive.
 */
import { algorithmOf, type Digest, digestOf } from "../digest.ts";
import { type Descriptor, MANIFEST_MAX_BYTES, type Manifest, parseManifest } from "../manifest.ts";
import { type Archive, damaged, readEntry } from "./archive-file.ts";
import {
  INDEX_MAX_BYTES,
  isManifestType,
  parseIndex,
  parseLayoutVersion,
} from "./archive-index.ts";
import { blobName, INDEX_NAME, LAYOUT_NAME } from "./archive-plan.ts";

/** Indexes within indexes: more is an attack on the stack. */
const DEPTH_MAX = 16;

export interface ArchiveIndex {
  /** As it is in the archive: what a signature is over. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** In its order. */
  readonly descriptors: readonly Descriptor[];
}

export interface Contents {
  readonly manifests: ReadonlyMap<Digest, ArchivedManifest>;
  /** Children of indexes that the archive does not have. */
  readonly absent: readonly Digest[];
}

export interface ArchivedManifest {
  readonly manifest: Manifest;
  /** In bytes. */
  readonly size: number;
}

/** @throws {ProvError} `ARTIFACT_INVALID` */
export async function readIndex(archive: Archive): Promise<ArchiveIndex> {
  const layout = await readEntry(archive, LAYOUT_NAME, MANIFEST_MAX_BYTES);
  understood(archive, LAYOUT_NAME, () => parseLayoutVersion(new TextDecoder().decode(layout)));
  const bytes = await readEntry(archive, INDEX_NAME, INDEX_MAX_BYTES);
  return { bytes, descriptors: understood(archive, INDEX_NAME, () => parseIndex(bytes)) };
}

/**
 * The manifests of an index, and theirs.
 * @throws {ProvError} `ARTIFACT_INVALID` when one is not what its digest says, or not there.
 */
export async function readContents(
  archive: Archive,
  { descriptors }: ArchiveIndex,
): Promise<Contents> {
  const manifests = new Map<Digest, ArchivedManifest>();
  const absent = new Set<Digest>();
  let wave = descriptors;
  // Wave by wave, as deep as the longest path: a manifest that is met again is gone through again.
  for (let depth = 0; wave.length > 0; depth++) {
    if (depth > DEPTH_MAX) throw damaged(archive.path, "its indexes are nested too deep");
    const children = new Map<Digest, Descriptor>();
    for (const descriptor of wave) {
      const { digest } = descriptor;
      const known = manifests.get(digest);
      const read = known ?? (await readManifest(archive, descriptor, depth === 0));
      if (read === undefined) absent.add(digest);
      else manifests.set(digest, read);
      for (const child of childrenOf(read)) children.set(child.digest, child);
    }
    wave = [...children.values()];
  }
  return { manifests, absent: [...absent] };
}

function childrenOf(read: ArchivedManifest | undefined): readonly Descriptor[] {
  const children = read?.manifest.manifests ?? [];
  return children.filter(({ mediaType }) => isManifestType(mediaType));
}

/** @returns undefined when it is neither there nor has to be. */
async function readManifest(
  archive: Archive,
  { digest, size, mediaType }: Descriptor,
  isRequired: boolean,
): Promise<ArchivedManifest | undefined> {
  const isThere = (await archive.entry(blobName(digest))) !== undefined;
  if (!(isThere || isRequired)) return undefined;
  const bytes = await readManifestBytes(archive, digest);
  if (bytes.byteLength !== size) {
    throw damaged(archive.path, `${digest} has ${bytes.byteLength} bytes, not ${size}`);
  }
  return { size, manifest: understood(archive, digest, () => parseManifest(bytes, mediaType)) };
}

/** @throws {ProvError} `ARTIFACT_INVALID` when the bytes are not the digest's. */
export async function readManifestBytes(
  archive: Archive,
  digest: Digest,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await readEntry(archive, blobName(digest), MANIFEST_MAX_BYTES);
  if (digestOf(bytes, algorithmOf(digest)) === digest) return bytes;
  const entry = await archive.entry(blobName(digest));
  throw damaged(archive.path, `its entry ${entry?.name} is not what its name says`);
}

function understood<T>(archive: Archive, name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw damaged(archive.path, `its ${name} is not valid: ${error.message}`);
  }
}
