// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";

/**
 * Sums of each repository's blobs and manifests, kept by SQLite itself with each change. They live as
 * long as the connection: made when they are first asked for, because few registries have a quota.
 */
const COUNT = `
create temp table usage (repository text primary key, bytes integer not null) strict;
insert into usage
  select repository, sum(size)
    from (select repository, size from blobs union all select repository, size from manifests)
   group by repository;
${["blobs", "manifests"]
  .map(
    (table) => `
create temp trigger ${table}_come after insert on main.${table} begin
  insert into usage values (new.repository, new.size)
    on conflict (repository) do update set bytes = bytes + excluded.bytes;
end;
create temp trigger ${table}_go after delete on main.${table} begin
  update usage set bytes = bytes - old.size where repository = old.repository;
end;`,
  )
  .join("")}
`;

export function usageQueries(db: Database) {
  // What "insert or replace" replaces counts as deleted.
  db.run("pragma recursive_triggers = on");
  db.run("pragma temp_store = memory");
  let isCounting = false;
  return {
    /** Bytes of blobs and manifests, by repository. What two repositories share counts in both. */
    usage: (): readonly { readonly repository: string; readonly bytes: number }[] => {
      if (!isCounting) db.transaction(() => db.run(COUNT)).immediate();
      isCounting = true;
      return db
        .query<{ repository: string; bytes: number }, []>("select repository, bytes from usage")
        .all();
    },
  };
}
