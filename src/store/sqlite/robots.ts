// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { hashToken } from "../seal.ts";
import type { NewRobot, Robot, RobotStore } from "../store.ts";
import type { Connection } from "./connection.ts";

interface RobotRow {
  readonly name: string;
  readonly grants: string;
  readonly created_at: number;
  readonly changed_at: number;
  readonly expires_at: number | null;
  readonly last_used_at: number | null;
}

const COLUMNS = "name, grants, created_at, changed_at, expires_at, last_used_at";

export class SqliteRobotStore implements RobotStore {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  add({ name, grants, expiresAt }: NewRobot, token: string, now: number): Promise<void> {
    return this.#connection.write(() => {
      const { changes } = this.#connection.db
        .query(
          `insert into robots (name, token_hash, grants, created_at, changed_at, expires_at)
           values ($name, $hash, $grants, $now, $now, $expiresAt)
           on conflict (name) do nothing`,
        )
        .run({ name, hash: hashToken(token), grants: JSON.stringify(grants), now, expiresAt });
      if (changes === 0) {
        throw new ProvError(`Cannot add robot "${name}": the name is taken`, { code: "CONFLICT" });
      }
    });
  }

  setToken(name: string, token: string, now: number): Promise<boolean> {
    return this.#connection.write(
      () =>
        this.#connection.db
          .query("update robots set token_hash = $hash, changed_at = $now where name = $name")
          .run({ name, hash: hashToken(token), now }).changes === 1,
    );
  }

  remove(name: string): Promise<boolean> {
    return this.#connection.write(
      () =>
        this.#connection.db.query("delete from robots where name = $name").run({ name }).changes ===
        1,
    );
  }

  list(): Promise<readonly Robot[]> {
    return this.#connection.read(() =>
      this.#connection.db
        .query<RobotRow, []>(`select ${COLUMNS} from robots order by name`)
        .all()
        .map(robotFromRow),
    );
  }

  get(name: string): Promise<Robot | undefined> {
    return this.#connection.read(() => {
      const row = this.#connection.db
        .query<RobotRow, { name: string }>(`select ${COLUMNS} from robots where name = $name`)
        .get({ name });
      return row === null ? undefined : robotFromRow(row);
    });
  }

  byToken(token: string): Promise<Robot | undefined> {
    return this.#connection.read(() => {
      const row = this.#connection.db
        .query<RobotRow, { hash: Uint8Array }>(
          `select ${COLUMNS} from robots where token_hash = $hash`,
        )
        .get({ hash: hashToken(token) });
      return row === null ? undefined : robotFromRow(row);
    });
  }

  noteUse(name: string, now: number): Promise<void> {
    return this.#connection.write(() => {
      this.#connection.db
        .query("update robots set last_used_at = $now where name = $name")
        .run({ name, now });
    });
  }
}

function robotFromRow(row: RobotRow): Robot {
  return {
    name: row.name,
    grants: JSON.parse(row.grants),
    createdAt: row.created_at,
    changedAt: row.changed_at,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
  };
}
