// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Keeps each repository's `oci-layout` and `index.json` saying what the catalog says, so that other
 * tools can read the directory. Many pushes in a row cost one write. A repository that was not
 * written before a crash is still marked in the catalog, and is written at the next start.
 */
import { dirname, join } from "node:path";
import type { Log, Sleep } from "../../base/deps.ts";
import { seconds } from "../../base/units.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { ManifestRow } from "../catalog/manifests.ts";
import type { ManifestLinks, TagLink } from "../catalog/pages.ts";
import { ALGORITHMS, type Digest } from "../digest.ts";
import { MEDIA_TYPE } from "../manifest.ts";
import { createPace } from "../pace.ts";
import type { Disk } from "./disk.ts";
import { makeDirectory, removeEmpty, removeFile, writeWhole } from "./durable.ts";
import { ANNOTATION, repositoryPath } from "./layout.ts";

const PAUSE = seconds(1);

export interface LayoutWriter {
  /** Something has changed; says nothing about when it is written. */
  schedule(): void;
  /**
   * Removes a repository that has nothing: from the catalog, if it is there, and from the disk.
   * @returns false when it has something.
   */
  remove(repository: string): Promise<boolean>;
  /** Writes what is left. */
  close(): Promise<void>;
}

export function createLayoutWriter(deps: {
  readonly root: string;
  readonly catalog: Catalog;
  readonly log: Log;
  readonly sleep: Sleep;
  readonly disk?: Disk;
}): LayoutWriter {
  const closing = new AbortController();
  let pending: Promise<void> | undefined;
  let flushing: Promise<void> = Promise.resolve();

  async function flush(): Promise<void> {
    for (const { name, stale } of deps.catalog.staleRepositories()) {
      try {
        await writeLayout(deps.root, name, deps.catalog, deps.disk);
        deps.catalog.markWritten(name, stale);
      } catch (error) {
        deps.log.error({ repository: name, err: error }, "registry layout not written");
      }
    }
  }

  /** One after the other: an older index.json must not land on a newer one. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = flushing.then(work);
    flushing = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  async function flushLater(): Promise<void> {
    await deps.sleep(PAUSE, closing.signal).catch(() => undefined);
    // What changes from here on waits for the next turn.
    pending = undefined;
    await inTurn(flush);
  }

  return {
    schedule() {
      pending ??= flushLater();
    },
    remove: (repository) =>
      inTurn(async () => {
        const isKnown = deps.catalog.hasRepository(repository);
        if (isKnown && !deps.catalog.removeRepository(repository)) return false;
        await removeLayout({ ...deps, repository, isKnown });
        return true;
      }),
    async close() {
      closing.abort();
      await pending;
      await inTurn(flush);
    },
  };
}

/**
 * Takes away what is empty, from the inside out, and leaves what is somebody else's. An `index.json` that
 * the catalog did not know is the only one to say what the content is called: it goes after that.
 */
async function removeLayout({
  root,
  repository,
  isKnown,
  disk,
}: {
  readonly root: string;
  readonly repository: string;
  readonly isKnown: boolean;
  readonly disk?: Disk;
}): Promise<void> {
  const directory = repositoryPath(root, repository);
  for (const algorithm of ALGORITHMS) await removeEmpty(join(directory, "blobs", algorithm), disk);
  const isEmpty = await removeEmpty(join(directory, "blobs"), disk);
  if (!isEmpty && !isKnown) return;
  for (const name of ["index.json", "oci-layout"]) await removeFile(join(directory, name), disk);
  const top = repositoryPath(root, "");
  for (
    let at = directory;
    at.length > top.length && (await removeEmpty(at, disk));
    at = dirname(at)
  ) {
    // A parent may be empty now as well.
  }
}

export async function writeLayout(
  root: string,
  repository: string,
  catalog: Catalog,
  disk?: Disk,
): Promise<void> {
  const directory = repositoryPath(root, repository);
  await makeDirectory(directory, disk);
  const marker = join(directory, "oci-layout");
  if (!(await Bun.file(marker).exists())) {
    await writeWhole(marker, '{"imageLayoutVersion":"1.0.0"}', disk);
  }
  await writeWhole(join(directory, "index.json"), await renderIndex(repository, catalog), disk);
}

const PAGE = 256;

/** Tagged manifests carry their tag and its time; the rest stand bare. Made in slices: there may be many. */
async function renderIndex(repository: string, catalog: Catalog): Promise<string> {
  const pace = createPace();
  const mirrored = new Set(catalog.mirroredTags(repository));
  const tagged = new Set<Digest>();
  const found: string[] = [];
  for (const { tag, digest, updatedAt } of allTags(repository, catalog)) {
    await pace();
    const annotations = {
      [ANNOTATION.tag]: tag,
      [ANNOTATION.taggedAt]: new Date(updatedAt).toISOString(),
      ...(mirrored.has(tag) && { [ANNOTATION.mirrored]: "true" }),
    };
    const row = catalog.manifest(repository, digest);
    if (row === undefined) continue;
    tagged.add(digest);
    found.push(JSON.stringify(describe(row, annotations)));
  }
  for (const { digest } of allManifests(repository, catalog)) {
    await pace();
    const row = tagged.has(digest) ? undefined : catalog.manifest(repository, digest);
    if (row !== undefined) found.push(JSON.stringify(describe(row)));
  }
  return `{"schemaVersion":2,"mediaType":"${MEDIA_TYPE.index}","manifests":[${found.join(",")}]}`;
}

/** Read as they are asked for, in pages. */
function* allTags(repository: string, catalog: Catalog): Generator<TagLink> {
  for (let page: TagLink[] = [], after = ""; ; after = page.at(-1)?.tag ?? "") {
    page = catalog.tagLinks(repository, after, PAGE);
    yield* page;
    if (page.length < PAGE) return;
  }
}

function* allManifests(repository: string, catalog: Catalog): Generator<ManifestLinks> {
  for (let page: ManifestLinks[] = [], after = ""; ; after = page.at(-1)?.digest ?? "") {
    page = catalog.manifestPage(repository, after, PAGE);
    yield* page;
    if (page.length < PAGE) return;
  }
}

function describe(row: ManifestRow, annotations?: Record<string, string>) {
  return {
    mediaType: row.mediaType,
    digest: row.digest,
    size: row.size,
    ...(row.artifactType !== null && { artifactType: row.artifactType }),
    ...(annotations && { annotations }),
  };
}
