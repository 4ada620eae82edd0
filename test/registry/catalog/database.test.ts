// SPDX-License-Identifier: AGPL-3.0-or-later
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { pushImage, type Served, serveRegistry } from "../served.ts";

const PARTS = "select * from manifest_parts order by digest, part";

function look(root: string): unknown[] {
  using db = new Database(`${root}/index.db`, { readonly: true });
  return db.query(PARTS).all();
}

/** Stops it and leaves what an earlier version of prov would have left. */
async function asVersion1(served: Served): Promise<void> {
  await served.crash();
  await served.registry.close();
  using db = new Database(`${served.root}/index.db`);
  db.run(`
    drop table manifest_parts;
    alter table manifests drop column pushed_at;
    alter table blobs drop column seen_at;
    pragma user_version = 1;
  `);
}

test("a catalog of version 1 learns from the layouts what its manifests are made of", async () => {
  const before = await serveRegistry();
  const { digest } = await pushImage(before, "a/b", "v1");
  const parts = look(before.root);
  expect(parts).toHaveLength(2);
  await asVersion1(before);
  await using after = await serveRegistry({ root: before.root });
  expect(look(after.root)).toEqual(parts);
  expect((await after.registry.resolve("a/b", "v1"))?.digest).toBe(digest);
});

test("a migration that was cut short is taken up again", async () => {
  const before = await serveRegistry();
  await pushImage(before, "a/b", "v1");
  const parts = look(before.root);
  await before.crash();
  await before.registry.close();
  {
    using db = new Database(`${before.root}/index.db`);
    db.run("delete from manifest_parts; pragma user_version = 1");
  }
  await using after = await serveRegistry({ root: before.root });
  expect(look(after.root)).toEqual(parts);
});

test("a catalog of a newer prov is refused and left alone", async () => {
  const before = await serveRegistry();
  await before.crash();
  await before.registry.close();
  {
    using db = new Database(`${before.root}/index.db`);
    db.run("pragma user_version = 99");
  }
  await expect(serveRegistry({ root: before.root })).rejects.toThrow("it has version 99");
});
