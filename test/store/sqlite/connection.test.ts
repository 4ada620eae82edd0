// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { Connection } from "../../../src/store/sqlite/connection.ts";

test("a full disk is STORAGE_FULL, takes the transaction back, and reads go on (R12)", async () => {
  const connection = new Connection(":memory:");
  connection.db.run("create table t (a)");
  const { page_count } = connection.db
    .query<{ page_count: number }, []>("pragma page_count")
    .get() ?? { page_count: 0 };
  connection.db.run(`pragma max_page_count = ${page_count + 2}`);
  const full = connection.write(() => {
    connection.db.run("insert into t values (1)");
    connection.db.run("insert into t values (zeroblob(100000))");
  });
  await expect(full).rejects.toMatchObject({
    code: "STORAGE_FULL",
    message: "Cannot write to the database: the disk is full",
  });
  const count = await connection.read(() => connection.db.query("select * from t").all().length);
  expect(count).toBe(0);
  connection.close();
});
