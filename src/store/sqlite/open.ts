// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { createKeyFile, readKeyFile } from "../key-file.ts";
import { type Random, Sealer } from "../seal.ts";
import type { Pruned, Retention, Store } from "../store.ts";
import { Connection } from "./connection.ts";
import { SqliteJobStore } from "./jobs.ts";
import { Listeners } from "./listeners.ts";
import { SqliteMediaStore } from "./media.ts";
import { pruneJobs } from "./prune.ts";
import { SqliteRobotStore } from "./robots.ts";
import { SqliteServerStore } from "./servers.ts";
import { SqliteUserStore } from "./users.ts";

export type StoreLocation = {
  /** The database file; its directory must exist. `:memory:` for tests. */
  readonly path: string;
  /** A test's own randomness. */
  readonly random?: Random;
} & KeySource;

type KeySource =
  /** Is made for a new database. */
  | { readonly keyFile: string }
  /** 32 bytes. */
  | { readonly key: Uint8Array };

const cryptoRandom: Random = (bytes) => crypto.getRandomValues(new Uint8Array(bytes));

/**
 * Opens the store, makes it when there is none, and migrates it.
 *
 * @throws {ProvError} `STORE_TOO_NEW`; `CONFIG_INVALID` when the database cannot be opened, or the key
 *   file is missing, readable by others, or not the one that the database was sealed with.
 */
export function openStore(location: StoreLocation): Promise<Store> {
  return Promise.try(() => {
    const connection = new Connection(location.path);
    try {
      return new SqliteStore(connection, location);
    } catch (error) {
      connection.close();
      throw error;
    }
  });
}

class SqliteStore implements Store {
  readonly jobs: SqliteJobStore;
  readonly servers: SqliteServerStore;
  readonly users: SqliteUserStore;
  readonly robots: SqliteRobotStore;
  readonly media: SqliteMediaStore;
  readonly #connection: Connection;
  readonly #sealer: Sealer;
  readonly #listeners = new Listeners();

  constructor(connection: Connection, location: StoreLocation) {
    const listeners = this.#listeners;
    const random = location.random ?? cryptoRandom;
    const key = "key" in location ? location.key : keyFrom(location.keyFile, connection, random);
    const sealer = new Sealer(key, random);
    proveKey(connection, sealer);
    this.#connection = connection;
    this.jobs = new SqliteJobStore(connection, sealer, listeners);
    this.servers = new SqliteServerStore(connection, sealer);
    this.users = new SqliteUserStore(connection);
    this.robots = new SqliteRobotStore(connection);
    this.#sealer = sealer;
    this.media = new SqliteMediaStore(connection, sealer, { listeners, random });
  }

  deriveKey(purpose: string): Promise<Uint8Array> {
    return Promise.try(() => this.#sealer.derive(purpose));
  }

  prune(retention: Retention, now: number): Promise<Pruned> {
    return this.#connection.write(() => pruneJobs(this.#connection.db, retention, now));
  }

  async close(): Promise<void> {
    this.#listeners.wakeAll();
    await this.#connection.write(() => this.media.writeCounts());
    this.#connection.close();
  }
}

function keyFrom(keyFile: string, connection: Connection, random: Random): Uint8Array {
  const found = readKeyFile(keyFile);
  if (found !== undefined) return found;
  if (readProof(connection) !== undefined) {
    throw new ProvError(
      `Cannot open the database ${connection.path}: its key file ${keyFile} is missing`,
      {
        code: "CONFIG_INVALID",
        hint: "Restore the key file from the backup: without it BMC passwords and recipes cannot be read.",
      },
    );
  }
  return createKeyFile(keyFile, random);
}

const PROOF = "prov";
const PROOF_PLACE = "key_check.proof/1";

/** Refuses a wrong key at once, and not when the first password is needed. */
function proveKey(connection: Connection, sealer: Sealer): void {
  connection.db
    .query("insert into key_check (id, proof_sealed) values (1, $proof) on conflict do nothing")
    .run({ proof: sealer.seal(PROOF_PLACE, PROOF) });
  try {
    sealer.unseal(PROOF_PLACE, readProof(connection) ?? new Uint8Array());
  } catch (error) {
    throw new ProvError(
      `Cannot open the database ${connection.path}: it was sealed with another key`,
      {
        code: "CONFIG_INVALID",
        cause: error,
        hint: "Use the key file that belongs to this database; `prov restore` brings back both.",
      },
    );
  }
}

function readProof(connection: Connection): Uint8Array | undefined {
  return (
    connection.db
      .query<{ proof_sealed: Uint8Array }, []>("select proof_sealed from key_check")
      .get()?.proof_sealed ?? undefined
  );
}
