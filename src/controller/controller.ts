// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * `prov serve` without its sockets: the HTTP API as a function from Request to Response, and the workers that
 * drive jobs.
 */
import { createKeyedLock } from "../base/keyed-lock.ts";
import { type Peer, peerAddress } from "./api/context.ts";
import { createApp } from "./app.ts";
import type { ControllerConfig } from "./config.ts";
import { keepHouse } from "./housekeeping.ts";
import { createMediaLibrary } from "./media/library.ts";
import { createTaskIsos } from "./media/task-iso.ts";
import { createMetrics } from "./metrics.ts";
import type { ControllerDeps } from "./ports.ts";
import { registryObserver } from "./registry-metrics.ts";
import { createWorkers } from "./worker/workers.ts";

export interface Controller {
  /** Never rejects. `peer` tells where a request comes from. */
  fetch(request: Request, peer?: Peer): Promise<Response>;
  /**
   * Makes the first user, if there is none, and starts the workers.
   * @returns the first administrator, to be shown once.
   */
  start(): Promise<InitialAdmin | null>;
  stop(): Promise<void>;
}

export interface InitialAdmin {
  readonly name: string;
  readonly password: string;
}

/**
 * @param config with at least one public URL, and checked by {@link checkConfig}.
 * @param mediaUrls base URLs of media, where they are not the public ones.
 */
export function createController(
  config: ControllerConfig,
  deps: ControllerDeps,
  mediaUrls: readonly string[] = config.publicUrls,
): Controller {
  const ended = new AbortController();
  const metrics = createMetrics();
  deps.registry.watch(registryObserver(metrics, deps));
  // BMCs lose track of two callers that change things at once. Everything that is asked of one goes through
  // here, by its URL; over several controllers a job's lease does the same.
  const bmcLock = createKeyedLock();
  const taskIsos = createTaskIsos(deps.store);
  const library = createMediaLibrary({ config, deps, metrics, taskIsos });
  const shared = { config, deps, metrics, bmcLock };
  const workers = createWorkers({ ...shared, mediaUrls });
  const app = createApp({ ...shared, taskIsos, library, areWorkersAlive: workers.areAlive });
  return {
    fetch: async (request, peer) =>
      await app.fetch(request, { address: peerAddress(request, peer) }),
    async start() {
      keepHouse(config, ended.signal, deps);
      const admin = await makeFirstAdmin(deps);
      workers.start();
      return admin;
    },
    async stop() {
      ended.abort();
      await workers.stop();
    },
  };
}

async function makeFirstAdmin(deps: ControllerDeps): Promise<InitialAdmin | null> {
  if ((await deps.store.users.count()) > 0) return null;
  const admin = { name: "admin", password: deps.newSecret().slice(0, 24) };
  await deps.store.users.add(admin.name, "admin", admin.password, deps.now());
  return admin;
}
