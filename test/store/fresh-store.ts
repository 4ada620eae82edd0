// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Server } from "../../src/jobs/job.ts";
import { openStore } from "../../src/store/sqlite/open.ts";
import type { NewJob, Store } from "../../src/store/store.ts";

export const KEY = new Uint8Array(32).fill(7);

export const memoryStore = (): Promise<Store> => openStore({ path: ":memory:", key: KEY });

/** An empty directory that goes away with the test's scope. */
export function temporaryDirectory(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "prov-store-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

export const server = (
  serial: string,
): Omit<Server, "createdAt" | "updatedAt" | "capabilities"> => ({
  serial,
  bmc: {
    url: "https://192.0.2.7",
    username: "root",
    password: "CANARY-bmc-password",
    tls: { mode: "verify" },
  },
  delivery: null,
  network: null,
});

export const newJob = (id: string, serial: string, more: Partial<NewJob> = {}): NewJob => ({
  id,
  serverSerial: serial,
  taskTarget: "install-linux.target",
  recipeText: '{"user_data":"CANARY-recipe"}',
  token: `CANARY-token-${id}`,
  idempotency: null,
  ...more,
});

/** A store with server `SN1` and its queued job `j1`. */
export async function storeWithJob(): Promise<Store> {
  const store = await memoryStore();
  await store.servers.put(server("SN1"), 1);
  await store.jobs.create(newJob("j1", "SN1"), 10);
  return store;
}
