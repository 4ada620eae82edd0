// SPDX-License-Identifier: AGPL-3.0-or-later
import { Database, SQLiteError } from "bun:sqlite";
import { closeSync, openSync } from "node:fs";
import { ProvError } from "../../base/errors.ts";
import { migrate } from "./migrate.ts";

/** How long a writer waits for another process; inside one process writers never meet. */
const BUSY_TIMEOUT_MS = 5000;

/** One open database. All statements run on it, synchronously: no await ever stands inside a transaction. */
export class Connection {
  readonly db: Database;
  readonly path: string;

  /**
   * Opens the file, makes it when there is none, and migrates it. `:memory:` is for tests.
   *
   * @throws {ProvError} `CONFIG_INVALID` when it cannot be opened, `STORE_TOO_NEW`
   */
  constructor(path: string) {
    this.path = path;
    try {
      // SQLite would make it readable for all; the WAL beside it gets the same mode.
      if (path !== ":memory:") closeSync(openSync(path, "a", 0o600));
      this.db = new Database(path, { strict: true });
      // First, because the others may already meet a lock.
      this.db.run(`pragma busy_timeout = ${BUSY_TIMEOUT_MS}`);
      this.db.run("pragma journal_mode = wal");
      // A job's state must survive the loss of power: a worker acts on the BMC by what it has written.
      this.db.run("pragma synchronous = full");
      this.db.run("pragma foreign_keys = on");
      // Retention means that what is removed is gone from the file.
      this.db.run("pragma secure_delete = on");
    } catch (error) {
      throw new ProvError(`Cannot open the database ${path}`, {
        code: "CONFIG_INVALID",
        cause: error,
      });
    }
    migrate(this.db);
  }

  /** Runs reads, and lets what they throw become a rejection. */
  read<T>(run: () => T): Promise<T> {
    return Promise.try(run);
  }

  /**
   * Runs reads and writes in one transaction, which takes the write lock at its start: one that began as
   * a reader would fail when another process has written meanwhile.
   *
   * @throws {ProvError} `STORAGE_FULL`
   */
  write<T>(run: () => T): Promise<T> {
    return Promise.try(() => {
      try {
        return this.db.transaction(run).immediate();
      } catch (error) {
        if (error instanceof SQLiteError && error.code === "SQLITE_FULL") {
          throw new ProvError("Cannot write to the database: the disk is full", {
            code: "STORAGE_FULL",
            cause: error,
          });
        }
        throw error;
      }
    });
  }

  close(): void {
    this.db.close();
  }
}
