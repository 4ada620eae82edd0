// SPDX-License-Identifier: AGPL-3.0-or-later
import { minutes } from "../base/units.ts";
import type { Retention } from "../store/store.ts";
import type { ControllerConfig } from "./config.ts";
import type { ControllerDeps } from "./ports.ts";

const EVERY = minutes(60);
const DAY = 24 * 60;
const RETENTION: Retention = { secrets: minutes(14 * DAY), jobs: minutes(90 * DAY) };

/** Now and then removes what nobody needs any more: old jobs, their secrets before them, abandoned uploads. */
export function keepHouse(
  config: ControllerConfig,
  ended: AbortSignal,
  deps: ControllerDeps,
): void {
  const sweep = async () => {
    try {
      const removed = await deps.store.prune(config.retention ?? RETENTION, deps.now());
      await deps.registry.sweep();
      deps.log.debug({ ...removed }, "swept");
    } catch (error) {
      deps.log.error({ err: error }, "not swept");
    }
  };
  const go = async () => {
    while (!ended.aborted) {
      await deps.sleep(EVERY, ended);
      await sweep();
    }
  };
  // Ends by the sleep's rejection when the controller stops.
  go().catch(() => undefined);
}
