// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import { ALGORITHMS, type Algorithm } from "../digest.ts";

export interface UploadRow {
  readonly id: string;
  readonly repository: string;
  readonly algorithm: Algorithm;
  readonly received: number;
  readonly updatedAt: number;
}

interface RawUpload {
  readonly id: string;
  readonly repository: string;
  readonly algorithm: string;
  readonly received: number;
  readonly updated_at: number;
}

function uploadFromRow(row: RawUpload): UploadRow {
  return {
    id: row.id,
    repository: row.repository,
    algorithm: ALGORITHMS.find((a) => a === row.algorithm) ?? "sha256",
    received: row.received,
    updatedAt: row.updated_at,
  };
}

export function uploadQueries(db: Database) {
  return {
    upload: (id: string): UploadRow | undefined => {
      const row = db.query<RawUpload, [string]>("select * from uploads where id = ?").get(id);
      return row === null ? undefined : uploadFromRow(row);
    },
    uploads: (): UploadRow[] =>
      db.query<RawUpload, []>("select * from uploads").all().map(uploadFromRow),
    addUpload: (row: UploadRow): void => {
      db.query(
        "insert into uploads (id, repository, algorithm, received, updated_at) values (?, ?, ?, ?, ?)",
      ).run(row.id, row.repository, row.algorithm, row.received, row.updatedAt);
    },
    setReceived: (id: string, received: number, now: number): void => {
      db.query("update uploads set received = ?, updated_at = ? where id = ?").run(
        received,
        now,
        id,
      );
    },
    removeUpload: (id: string): boolean =>
      db.query("delete from uploads where id = ?").run(id).changes > 0,
  };
}
