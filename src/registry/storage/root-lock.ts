// SPDX-License-Identifier: AGPL-3.0-or-later
import { Database } from "bun:sqlite";
import { ProvError } from "../../base/errors.ts";
import { errnoOf, makeDirectory } from "./durable.ts";
import { rootLockPath } from "./layout.ts";

export interface RootLock {
  release(): void;
}

/**
 * Makes this process the only one that works on the root. It is an SQLite transaction on a file of its
 * own that is never ended: the kernel lets go of it when the process is gone, however it went.
 * @throws {ProvError} `CONFLICT` when somebody else has it.
 */
export async function lockRoot(root: string): Promise<RootLock> {
  await makeDirectory(root);
  const db = new Database(rootLockPath(root), { create: true });
  if (takes(db)) return { release: () => db.close() };
  db.close();
  throw new ProvError(`Cannot open the registry in ${root}: another prov is using it`, {
    code: "CONFLICT",
    hint: "Stop the other one first (systemctl stop prov), or give this one a storage root of its own.",
  });
}

function takes(db: Database): boolean {
  try {
    db.run("pragma busy_timeout = 0");
    db.run("begin exclusive");
    return true;
  } catch (error) {
    if (errnoOf(error) === "SQLITE_BUSY") return false;
    throw error;
  }
}
