// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * An archive before it is written: every entry, with its place in the file. A pure function of what
 * goes in, so that a file that was begun can be gone on with.
 *
 * The order is `oci-layout`, `index.json`, manifests, blobs and, last, the signature: a reader finds
 * what it needs first at the beginning, and what is not whole is not signed.
 */
import { ProvError } from "../../base/errors.ts";
import { algorithmOf, type Digest, hexOf } from "../digest.ts";
import { OCI_LAYOUT, renderIndex } from "./archive-index.ts";
import type { Collection } from "./collect.ts";
import { END_BYTES, paddingOf, tarHeader } from "./tar-header.ts";

/** A file in the archive; its content is either here or to be fetched. */
export interface PlannedEntry {
  readonly name: string;
  readonly header: Uint8Array<ArrayBuffer>;
  /** Of the header's first byte in the archive. */
  readonly start: number;
  /** Of the content, in bytes. */
  readonly size: number;
  readonly content: Uint8Array<ArrayBuffer> | PlannedBlob;
}

export interface PlannedBlob {
  readonly digest: Digest;
  readonly size: number;
  /** One that has it. */
  readonly repository: string;
}

export interface ArchivePlan {
  readonly entries: readonly PlannedEntry[];
  /** Of the whole archive, in bytes, with the end mark. */
  readonly size: number;
  /** The bytes of `index.json`. */
  readonly index: Uint8Array<ArrayBuffer>;
}

export const LAYOUT_NAME = "oci-layout";
export const INDEX_NAME = "index.json";
export const SIGNATURE_NAME = "index.json.sig";

export function blobName(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}

/**
 * @param sign gives `index.json.sig` for the index; null for an archive without one.
 * @throws {ProvError} `USAGE` when there is nothing to put in.
 */
export function planArchive(
  { artifacts, manifests, blobs }: Collection,
  sign: ((index: Uint8Array) => string) | null,
): ArchivePlan {
  if (artifacts.length === 0) {
    throw new ProvError("Cannot export: no artifact fits", {
      code: "USAGE",
      hint: "`prov artifact list` shows what there is.",
    });
  }
  const index = new TextEncoder().encode(renderIndex(artifacts));
  const contents: (readonly [string, PlannedEntry["content"]])[] = [
    [LAYOUT_NAME, new TextEncoder().encode(OCI_LAYOUT)],
    [INDEX_NAME, index],
    ...sorted(manifests).map(([digest, bytes]) => [blobName(digest), bytes] as const),
    ...sorted(blobs)
      .filter(([digest]) => !manifests.has(digest))
      .map(([digest, blob]) => [blobName(digest), { digest, ...blob }] as const),
    ...(sign === null ? [] : [[SIGNATURE_NAME, new TextEncoder().encode(sign(index))] as const]),
  ];
  return { ...placed(contents), index };
}

function placed(
  contents: readonly (readonly [string, PlannedEntry["content"]])[],
): Pick<ArchivePlan, "entries" | "size"> {
  let start = 0;
  const entries = contents.map(([name, content]) => {
    const size = content instanceof Uint8Array ? content.byteLength : content.size;
    const header = tarHeader(name, size);
    const entry = { name, header, start, size, content };
    start += header.byteLength + size + paddingOf(size);
    return entry;
  });
  return { entries, size: start + END_BYTES };
}

function sorted<Value>(map: ReadonlyMap<Digest, Value>): readonly (readonly [Digest, Value])[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}
