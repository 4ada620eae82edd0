// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openStore } from "../../../src/store/sqlite/open.ts";
import { memoryStore, temporaryDirectory } from "../fresh-store.ts";

const GRANTS = [{ repositories: "os/**", actions: ["pull", "push"] }] as const;

test("robots come, change their token, are used and go", async () => {
  const { robots } = await memoryStore();
  await robots.add({ name: "ci", grants: GRANTS, expiresAt: 99 }, "first", 1);
  const ci = {
    name: "ci",
    grants: GRANTS,
    createdAt: 1,
    changedAt: 1,
    expiresAt: 99,
    lastUsedAt: null,
  };
  expect(await robots.byToken("first")).toEqual(ci);
  expect(await robots.get("ci")).toEqual(ci);
  expect(await robots.byToken("other")).toBeUndefined();
  const again = robots.add({ name: "ci", grants: [], expiresAt: null }, "x", 2);
  await expect(again).rejects.toMatchObject({ code: "CONFLICT" });
  expect([await robots.setToken("ci", "second", 3), await robots.setToken("no", "x", 3)]).toEqual([
    true,
    false,
  ]);
  expect(await robots.byToken("first")).toBeUndefined();
  await robots.noteUse("ci", 4);
  expect(await robots.byToken("second")).toEqual({ ...ci, changedAt: 3, lastUsedAt: 4 });
  expect((await robots.list()).map(({ name }) => name)).toEqual(["ci"]);
  expect([await robots.remove("ci"), await robots.remove("ci")]).toEqual([true, false]);
  expect(await robots.byToken("second")).toBeUndefined();
});

test("R51 a robot comes back from disk, where its token is not", async () => {
  using directory = temporaryDirectory();
  const place = { path: join(directory.path, "prov.db"), keyFile: join(directory.path, "key") };
  const before = await openStore(place);
  await before.robots.add({ name: "ci", grants: GRANTS, expiresAt: null }, "CANARY-token", 1);
  const key = await before.deriveKey("a purpose");
  await before.close();
  for (const name of readdirSync(directory.path)) {
    expect(readFileSync(join(directory.path, name)).includes("CANARY")).toBe(false);
  }
  const after = await openStore(place);
  expect((await after.robots.byToken("CANARY-token"))?.grants).toEqual([...GRANTS]);
  expect(await after.deriveKey("a purpose")).toEqual(key);
  expect(await after.deriveKey("another")).not.toEqual(key);
  await after.close();
});

test("a user's last change is known", async () => {
  const { users } = await memoryStore();
  await users.add("ann", "reader", "first", 1);
  expect(await users.get("ann")).toEqual({
    name: "ann",
    role: "reader",
    createdAt: 1,
    changedAt: 1,
  });
  await users.setPassword("ann", "second", 5);
  expect((await users.get("ann"))?.changedAt).toBe(5);
  expect(await users.get("bob")).toBeUndefined();
});
