// SPDX-License-Identifier: AGPL-3.0-or-later

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { type Catalog, openCatalog } from "../../../src/registry/catalog/catalog.ts";
import type { NewManifest } from "../../../src/registry/catalog/manifests.ts";
import { digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { temporaryDirectory } from "../../store/fresh-store.ts";

const [one, two] = [digestOf("one"), digestOf("two")];

const manifest = (digest: typeof one, tag: string): NewManifest => ({
  row: {
    ...{ digest, mediaType: MEDIA_TYPE.image, size: 3, subject: null, artifactType: null },
    ...{ annotations: {}, contentSize: 0, pushedAt: 1 },
  },
  ...{ parts: [], blobs: [], tags: [{ tag, updatedAt: 1 }] },
});

test("a tag is upstream's until it is pushed here, and ours from then on", () => {
  using directory = temporaryDirectory();
  const catalog = openCatalog(join(directory.path, "index.db"));
  catalog.setMirroredTag("a", "v1", one, 1);
  catalog.setMirroredTag("a", "v1", two, 2);
  expect(catalog.tagOrigin("a", "v1")).toEqual({ digest: two, isMirrored: true });
  expect(catalog.mirroredTags("a")).toEqual(["v1"]);
  catalog.putManifest("a", manifest(one, "v1"));
  expect(catalog.tagOrigin("a", "v1")).toEqual({ digest: one, isMirrored: false });
  // What upstream says while somebody pushes comes too late.
  catalog.setMirroredTag("a", "v1", two, 3);
  expect(catalog.removeMirroredTag("a", "v1", 3)).toBe(false);
  expect(catalog.tagOrigin("a", "v1")).toEqual({ digest: one, isMirrored: false });
  expect(catalog.mirroredTags("a")).toEqual([]);
  catalog.close();
});

test.each<[string, (catalog: Catalog) => void]>([
  ["moves", (catalog) => catalog.setMirroredTag("a", "v1", two, 9)],
  ["is gone", (catalog) => catalog.removeMirroredTag("a", "v1", 9)],
])("R50: a manifest whose tag %s upstream counts as untagged from then on", (_, lose) => {
  const catalog = openCatalog(":memory:");
  for (const digest of [one, two]) catalog.putManifest("a", { ...manifest(digest, ""), tags: [] });
  catalog.setMirroredTag("a", "v1", one, 1);
  catalog.setMirroredTag("a", "v1", one, 5);
  expect(catalog.manifest("a", one)?.pushedAt).toBe(1);
  lose(catalog);
  expect(catalog.manifest("a", one)?.pushedAt).toBe(9);
  expect(catalog.manifest("a", two)?.pushedAt).toBe(1);
  catalog.close();
});

test("a catalog from before there were mirrors has tags that were pushed", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "index.db");
  const before = openCatalog(path);
  before.setFilled();
  before.putManifest("a", manifest(one, "v1"));
  before.close();
  const db = new Database(path);
  db.run("alter table tags drop column mirrored");
  db.close();
  const catalog = openCatalog(path);
  expect(catalog.tagOrigin("a", "v1")).toEqual({ digest: one, isMirrored: false });
  catalog.setMirroredTag("a", "v2", one, 1);
  expect(catalog.tagOrigin("a", "v2")).toEqual({ digest: one, isMirrored: true });
  catalog.close();
});
