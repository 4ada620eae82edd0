// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { ROLES, type Role, type User, type UserStore } from "../store.ts";
import type { Connection } from "./connection.ts";
import { memberOf } from "./job-row.ts";

interface UserRow {
  readonly name: string;
  readonly role: string;
  readonly created_at: number;
}

/** Above OWASP's minimum for argon2id (19 MiB, 2 passes): Password Storage Cheat Sheet. */
const HASHING = { algorithm: "argon2id", memoryCost: 65_536, timeCost: 2 } as const;

/** The hash of 32 random bytes that were thrown away, made with {@link HASHING}: costs as much, opens to nobody. */
export const NOBODYS_HASH =
  "$argon2id$v=19$m=65536,t=2,p=1$oZ/zF9lbXjThSRkEGvaZ/qkbRcK+KWsmmc/WzzZnSUU$8B7kTTz1CGPEWvPLQTatZr9C2upC4qrYFARebnCE6MA";

export class SqliteUserStore implements UserStore {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  count(): Promise<number> {
    return this.#connection.read(
      () =>
        this.#connection.db.query<{ n: number }, []>("select count(*) as n from users").get()?.n ??
        0,
    );
  }

  async add(name: string, role: Role, password: string, now: number): Promise<void> {
    const trying = `Cannot add user "${name}"`;
    if (name === "") throw new ProvError(`${trying}: the name is empty`, { code: "USAGE" });
    const hash = await hashPassword(password, trying);
    await this.#connection.write(() => {
      const { changes } = this.#connection.db
        .query(
          `insert into users (name, role, password_hash, created_at, updated_at)
           values ($name, $role, $hash, $now, $now)
           on conflict do nothing`,
        )
        .run({ name, role, hash, now });
      if (changes === 0) throw new ProvError(`${trying}: the name is taken`, { code: "CONFLICT" });
    });
  }

  async setPassword(name: string, password: string, now: number): Promise<boolean> {
    const hash = await hashPassword(password, `Cannot set the password of user "${name}"`);
    return this.#connection.write(() => {
      const { changes } = this.#connection.db
        .query("update users set password_hash = $hash, updated_at = $now where name = $name")
        .run({ name, hash, now });
      return changes === 1;
    });
  }

  remove(name: string): Promise<boolean> {
    return this.#connection.write(
      () =>
        this.#connection.db.query("delete from users where name = $name").run({ name }).changes ===
        1,
    );
  }

  list(): Promise<readonly User[]> {
    return this.#connection.read(() =>
      this.#connection.db
        .query<UserRow, []>("select name, role, created_at from users order by name")
        .all()
        .map(userFromRow),
    );
  }

  get(name: string): Promise<(User & { readonly changedAt: number }) | undefined> {
    return this.#connection.read(() => {
      const row = this.#connection.db
        .query<UserRow & { readonly updated_at: number }, { name: string }>(
          "select name, role, created_at, updated_at from users where name = $name",
        )
        .get({ name });
      return row === null ? undefined : { ...userFromRow(row), changedAt: row.updated_at };
    });
  }

  async verify(name: string, password: string): Promise<User | undefined> {
    // Nobody can have it, so leaving early tells nothing about the name.
    if (password === "") return undefined;
    const row = this.#connection.db
      .query<UserRow & { readonly password_hash: string }, { name: string }>(
        "select name, role, created_at, password_hash from users where name = $name",
      )
      .get({ name });
    const isRight = await Bun.password.verify(password, row?.password_hash ?? NOBODYS_HASH);
    return row !== null && isRight ? userFromRow(row) : undefined;
  }
}

function hashPassword(password: string, trying: string): Promise<string> {
  if (password === "") throw new ProvError(`${trying}: the password is empty`, { code: "USAGE" });
  return Bun.password.hash(password, HASHING);
}

function userFromRow(row: UserRow): User {
  return { name: row.name, role: memberOf(ROLES, row.role), createdAt: row.created_at };
}
