// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { openCatalog } from "../../../src/registry/catalog/catalog.ts";
import { newManifest } from "../../../src/registry/catalog/manifests.ts";
import { digestOf } from "../../../src/registry/digest.ts";
import { parseManifest } from "../../../src/registry/manifest.ts";
import { text } from "../served.ts";

test("R50: a manifest is not written when a blob that was there has gone in the meantime", () => {
  const catalog = openCatalog(":memory:");
  const bytes = text('{"schemaVersion":2,"manifests":[]}');
  const [digest, blob] = [digestOf(bytes), digestOf("blob")];
  const put = () =>
    catalog.putManifest(
      "a",
      newManifest(parseManifest(bytes, null), {
        ...{ digest, size: bytes.byteLength, blobs: [blob], now: 1 },
        tags: [{ tag: "v1", updatedAt: 1 }],
      }),
    );
  expect(put()).toEqual([blob]);
  expect(catalog.manifest("a", digest)).toBeUndefined();
  expect(catalog.tagged("a", "v1")).toBeUndefined();
  catalog.addBlob("a", blob, 4, 1);
  expect(put()).toEqual([]);
  expect(catalog.tagged("a", "v1")).toBe(digest);
  catalog.close();
});
