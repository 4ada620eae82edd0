// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import { ProvError } from "../../base/errors.ts";
import initial from "./migrations/001-initial.sql" with { type: "text" };
import robots from "./migrations/002-robots.sql" with { type: "text" };

/** Migration n brings a database of version n - 1 to version n. They are never edited once released. */
export const MIGRATIONS: readonly string[] = [initial, robots];

/**
 * Brings the database to the newest version, all or nothing.
 *
 * @throws {ProvError} `STORE_TOO_NEW` when a newer prov has written it; it is not touched then.
 */
export function migrate(db: Database, migrations: readonly string[] = MIGRATIONS): void {
  if (versionOf(db) === migrations.length) return;
  db.transaction(() => {
    // Read again: another process may have migrated while this one waited for the lock.
    const version = versionOf(db);
    if (version > migrations.length) {
      throw new ProvError(
        `Cannot use the database: it has version ${version}, and this prov knows ${migrations.length}`,
        {
          code: "STORE_TOO_NEW",
          hint: "Start the newer prov, or restore a backup from before it.",
        },
      );
    }
    for (const sql of migrations.slice(version)) db.run(sql);
    db.run(`pragma user_version = ${migrations.length}`);
  }).immediate();
}

export function versionOf(db: Database): number {
  const row = db.query<{ user_version: number }, []>("pragma user_version").get();
  return row?.user_version ?? 0;
}
