// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What takes the space: by repository, and in all with equal content counted once.
 */
import type { Catalog } from "../catalog/catalog.ts";
import type { Pace } from "../pace.ts";

interface RepositoryUsage {
  readonly repository: string;
  readonly tags: number;
  readonly manifests: number;
  readonly blobs: number;
  /** Of all its content. */
  readonly bytes: number;
  /** Of the content that no other repository has: what removing it would free. */
  readonly ownBytes: number;
}

export interface Usage {
  readonly repositories: readonly RepositoryUsage[];
  /** Everything once. */
  readonly contents: number;
  readonly bytes: number;
  /** Uploads under way or left for a resume, and the bytes they have received. */
  readonly uploads: number;
  readonly uploadBytes: number;
}

const PAGE = 256;

type Place = ReturnType<Catalog["placesOf"]>[number];
type Counted = { -readonly [Key in keyof RepositoryUsage]: RepositoryUsage[Key] };

/** Reads the whole catalog, in slices. */
export async function measureUsage(catalog: Catalog, pace: Pace): Promise<Usage> {
  const found = new Map<string, Counted>();
  for (const { repository, tags } of catalog.tagCounts()) countedOf(found, repository).tags = tags;
  for (const repository of catalog.repositories()) countedOf(found, repository);
  const total = await countContents(catalog, found, pace);
  const uploads = catalog.uploads();
  return {
    ...total,
    repositories: [...found.values()].toSorted((a, b) => (a.repository < b.repository ? -1 : 1)),
    uploads: uploads.length,
    uploadBytes: uploads.reduce((sum, { received }) => sum + received, 0),
  };
}

async function countContents(
  catalog: Catalog,
  found: Map<string, Counted>,
  pace: Pace,
): Promise<{ contents: number; bytes: number }> {
  let contents = 0;
  let bytes = 0;
  let after = "";
  for (;;) {
    const page = catalog.contentPage(after, PAGE);
    for (const digest of page) {
      await pace();
      const places = catalog.placesOf(digest);
      for (const place of places) count(countedOf(found, place.repository), place, places.length);
      contents++;
      bytes += places[0]?.size ?? 0;
    }
    if (page.length < PAGE) return { contents, bytes };
    after = page.at(-1) ?? "";
  }
}

function count(counted: Counted, { size, isManifest }: Place, places: number): void {
  if (isManifest) counted.manifests++;
  else counted.blobs++;
  counted.bytes += size;
  if (places === 1) counted.ownBytes += size;
}

function countedOf(found: Map<string, Counted>, repository: string): Counted {
  const counted = found.get(repository) ?? {
    repository,
    tags: 0,
    manifests: 0,
    blobs: 0,
    bytes: 0,
    ownBytes: 0,
  };
  found.set(repository, counted);
  return counted;
}
