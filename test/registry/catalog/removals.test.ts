// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { openCatalog } from "../../../src/registry/catalog/catalog.ts";
import type { NewManifest } from "../../../src/registry/catalog/manifests.ts";
import { type Digest, digestOf, hexOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";

const [image, other] = [digestOf("image"), digestOf("other")];

const manifest = (digest: Digest, pushedAt: number, tag?: string): NewManifest => ({
  row: {
    ...{ digest, mediaType: MEDIA_TYPE.image, size: 3, subject: null, artifactType: null },
    ...{ annotations: {}, contentSize: 0, pushedAt },
  },
  ...{ parts: [], blobs: [], tags: tag === undefined ? [] : [{ tag, updatedAt: pushedAt }] },
});

test.each<[string, boolean, string, number]>([
  ["signed since it was found", false, `sha256-${hexOf(image)}.sig`, 3],
  ["signed by the referrers tag schema", false, `sha256-${hexOf(image)}`, 3],
  ["signed long ago", true, `sha256-${hexOf(image)}.sig`, 2],
  ["and another one was signed", true, `sha256-${hexOf(other)}.sig`, 3],
])("R50: a manifest that nothing keeps, %s: it goes: %p", (_, goes, tag, signedAt) => {
  const catalog = openCatalog(":memory:");
  catalog.putManifest("a", manifest(image, 1));
  catalog.putManifest("a", manifest(digestOf("signature"), signedAt, tag));
  const doomed = { digest: image, before: 2, referrersBefore: 2, companions: [] };
  expect(catalog.expireManifest("a", doomed)).toBe(goes);
  expect(catalog.manifest("a", image) === undefined).toBe(goes);
  catalog.close();
});
