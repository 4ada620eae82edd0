// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";

/** Notes that index.json does not say yet what has changed. */
export function touch(db: Database, repository: string): void {
  db.query(
    "insert into repositories (name, stale) values (?, 1) on conflict (name) do update set stale = stale + 1",
  ).run(repository);
}

export function repositoryQueries(db: Database) {
  return {
    hasRepository: (name: string): boolean =>
      db.query("select 1 from repositories where name = ?").get(name) !== null,
    repositories: (): string[] =>
      db
        .query<{ name: string }, []>("select name from repositories order by name")
        .all()
        .map((row) => row.name),
    staleRepositories: (): { name: string; stale: number }[] =>
      db
        .query<{ name: string; stale: number }, []>(
          "select name, stale from repositories where stale > 0",
        )
        .all(),
    /** index.json says what the catalog said at `stale`; changes since then still count. */
    markWritten: (name: string, stale: number): void => {
      db.query("update repositories set stale = 0 where name = ? and stale = ?").run(name, stale);
    },
  };
}
