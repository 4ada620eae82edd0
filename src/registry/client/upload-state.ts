// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/deps.ts";
import type { UploadMemory } from "./push-blob.ts";

/** Registries give up what nobody has touched for a day or a week. */
const STALE_AFTER_MS = 7 * 24 * 3600 * 1000;

export interface UploadStateDeps {
  /** Made if missing, for nobody else to read: the locations of some registries are as good as a token. */
  readonly directory: string;
  readonly now: Clock;
  readonly pid: number;
  isRunning(pid: number): boolean;
}

/**
 * Remembers unfinished uploads in a directory: one file each, which holds its location and nothing else.
 *
 * The name is a hash of what it is of, and the process it belongs to: two that push the same do not
 * feed one upload, and what a dead process has left belongs to whoever renames it first.
 */
export function createUploadState(deps: UploadStateDeps): UploadMemory {
  const { directory, pid } = deps;
  const pathOf = (key: string, owner: number) => join(directory, `${hashOf(key)}.${owner}`);
  return {
    async take(key) {
      await removeStale(deps);
      for (const owner of await ownersOf(directory, hashOf(key))) {
        if (owner !== pid && deps.isRunning(owner)) continue;
        const mine = pathOf(key, pid);
        const isMine = await rename(pathOf(key, owner), mine).then(...trueOrFalse);
        if (!isMine) continue;
        const location = await readFile(mine, "utf8").catch(() => "");
        await rm(mine, { force: true });
        if (location !== "") return location.trim();
      }
      return undefined;
    },
    async keep(key, location) {
      // Where it cannot be kept, the next process sends the blob from its start: no reason to stop this one.
      await write(directory, pathOf(key, pid), location).catch(() => undefined);
    },
    async forget(key) {
      await rm(pathOf(key, pid), { force: true });
    },
  };
}

async function write(directory: string, path: string, location: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const partial = `${path}.new`;
  await rm(partial, { force: true });
  await writeFile(partial, `${location}\n`, { mode: 0o600, flag: "wx" });
  await rename(partial, path);
}

const trueOrFalse = [() => true, () => false] as const;

const hashOf = (key: string) => new Bun.CryptoHasher("sha256").update(key).digest("hex");

async function ownersOf(directory: string, hash: string): Promise<number[]> {
  const names = await readdir(directory).catch(() => []);
  return names
    .filter((name) => name.startsWith(`${hash}.`))
    .map((name) => Number(name.slice(hash.length + 1)))
    .filter((owner) => Number.isSafeInteger(owner) && owner > 0);
}

async function removeStale({ directory, now }: UploadStateDeps): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    const path = join(directory, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && now() - found.mtimeMs > STALE_AFTER_MS) {
      await rm(path, { force: true });
    }
  }
}
