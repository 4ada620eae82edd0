// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import fc from "fast-check";
import { openCatalog } from "../../../src/registry/catalog/catalog.ts";
import { newManifest } from "../../../src/registry/catalog/manifests.ts";
import { digestOf } from "../../../src/registry/digest.ts";
import { parseManifest } from "../../../src/registry/manifest.ts";

const MANIFEST = parseManifest(
  new TextEncoder().encode('{"schemaVersion":2,"manifests":[]}'),
  "application/vnd.oci.image.index.v1+json",
);

const step = fc.record({
  kind: fc.constantFrom("addBlob", "removeBlob", "putManifest", "removeManifest", "ask"),
  repository: fc.constantFrom("a", "b"),
  content: fc.constantFrom("x", "y", "z"),
  size: fc.integer({ min: 0, max: 1000 }),
});

test("usage is the sum of what is there after any changes, whenever it is first asked for", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const catalog = openCatalog(":memory:");
      const model = new Map<string, number>();
      const used = () =>
        Object.fromEntries(
          catalog
            .usage()
            .filter(({ bytes }) => bytes !== 0)
            .map(({ repository, bytes }) => [repository, bytes]),
        );
      const expected = () => {
        const sums: Record<string, number> = {};
        for (const [key, size] of model) {
          const [repository = ""] = key.split(" ");
          if (size > 0) sums[repository] = (sums[repository] ?? 0) + size;
        }
        return sums;
      };
      for (const { kind, repository, content, size } of steps) {
        const digest = digestOf(content);
        const key = (of: string) => `${repository} ${of} ${content}`;
        if (kind === "addBlob") {
          catalog.addBlob(repository, digest, size, 1);
          model.set(key("blob"), size);
        } else if (kind === "removeBlob") {
          catalog.removeBlob(repository, digest);
          model.delete(key("blob"));
        } else if (kind === "putManifest") {
          catalog.putManifest(
            repository,
            newManifest(MANIFEST, { digest, size, blobs: [], tags: [], now: 1 }),
          );
          model.set(key("manifest"), size);
        } else if (kind === "removeManifest") {
          catalog.removeManifest(repository, digest);
          model.delete(key("manifest"));
        } else expect(used()).toEqual(expected());
      }
      expect(used()).toEqual(expected());
      catalog.close();
    }),
    { numRuns: 100 },
  );
});
