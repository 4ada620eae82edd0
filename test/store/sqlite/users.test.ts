// SPDX-License-Identifier: AGPL-3.0-or-later
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { openStore } from "../../../src/store/sqlite/open.ts";
import { NOBODYS_HASH } from "../../../src/store/sqlite/users.ts";
import { KEY, memoryStore, temporaryDirectory } from "../fresh-store.ts";

test("users come, change their password and go", async () => {
  const store = await memoryStore();
  await store.users.add("ann", "admin", "first", 1);
  const ann = { name: "ann", role: "admin", createdAt: 1 } as const;
  expect(await store.users.verify("ann", "first")).toEqual(ann);
  expect(await store.users.verify("ann", "other")).toBeUndefined();
  expect(await store.users.verify("bob", "first")).toBeUndefined();
  await expect(store.users.add("ann", "reader", "x", 2)).rejects.toMatchObject({
    code: "CONFLICT",
    message: 'Cannot add user "ann": the name is taken',
  });
  expect(await store.users.setPassword("ann", "second", 3)).toBe(true);
  expect(await store.users.setPassword("bob", "second", 3)).toBe(false);
  expect(await store.users.verify("ann", "first")).toBeUndefined();
  expect(await store.users.verify("ann", "second")).toEqual(ann);
  expect(await store.users.list()).toEqual([ann]);
  expect(await store.users.count()).toBe(1);
  expect(await store.users.remove("ann")).toBe(true);
  expect(await store.users.remove("ann")).toBe(false);
  expect(await store.users.verify("ann", "second")).toBeUndefined();
});

test("empty credentials authenticate nobody (R52)", async () => {
  const store = await memoryStore();
  await expect(store.users.add("ann", "admin", "", 1)).rejects.toMatchObject({ code: "USAGE" });
  await expect(store.users.add("", "admin", "x", 1)).rejects.toMatchObject({ code: "USAGE" });
  await store.users.add("ann", "admin", "x", 1);
  await expect(store.users.setPassword("ann", "", 1)).rejects.toMatchObject({ code: "USAGE" });
  expect(await store.users.verify("ann", "")).toBeUndefined();
  expect(await store.users.verify("", "")).toBeUndefined();
});

/** What a hash costs to check: `$argon2id$v=19$m=65536,t=2,p=1`. */
const parametersOf = (hash: string | undefined) => hash?.split("$").slice(0, 4).join("$");

test("an unknown name costs as much work as a known one", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "prov.db");
  const store = await openStore({ path, key: KEY });
  await store.users.add("ann", "admin", "x", 1);
  const db = new Database(path, { readonly: true });
  const row = db.query<{ password_hash: string }, []>("select password_hash from users").get();
  db.close();
  await store.close();
  expect(parametersOf(NOBODYS_HASH)).toBe(parametersOf(row?.password_hash) ?? "");
});
