// SPDX-License-Identifier: AGPL-3.0-or-later
import { type Millis, minutes } from "../base/units.ts";
import type { Retention } from "../store/store.ts";
import { artifactsInUse } from "./artifacts.ts";
import { type ControllerConfig, REGISTRY_UPKEEP, type RegistryUpkeep } from "./config.ts";
import type { ControllerDeps } from "./ports.ts";

const EVERY = minutes(60);
const DAY = 24 * 60;
const RETENTION: Retention = { secrets: minutes(14 * DAY), jobs: minutes(90 * DAY) };

/**
 * Now and then removes what nobody needs any more: old jobs, their secrets before them, abandoned
 * uploads, the registry's garbage. And looks whether what is stored is still what was stored.
 */
export function keepHouse(
  config: ControllerConfig,
  ended: AbortSignal,
  deps: ControllerDeps,
): void {
  const { log, sleep } = deps;
  const upkeep = config.registryUpkeep ?? REGISTRY_UPKEEP;
  const repeat = async (interval: Millis, what: string, work: () => Promise<void>) => {
    while (interval > 0 && !ended.aborted) {
      await sleep(interval, ended);
      await work().catch((error) => log.error({ err: error, what }, "housekeeping failed"));
    }
  };
  const tasks = [
    repeat(EVERY, "sweep", async () => {
      const removed = await deps.store.prune(config.retention ?? RETENTION, deps.now());
      await deps.registry.sweep();
      log.debug({ ...removed }, "swept");
    }),
    repeat(upkeep.gcInterval, "registry gc", () => collect(config, upkeep, deps)),
    repeat(upkeep.scrubInterval > 0 ? EVERY : upkeep.scrubInterval, "registry scrub", () =>
      scrubWhenDue(upkeep, deps),
    ),
  ];
  // They end by the sleep's rejection when the controller stops.
  for (const task of tasks) task.catch(() => undefined);
}

async function collect(
  config: ControllerConfig,
  { gcGrace }: RegistryUpkeep,
  deps: ControllerDeps,
): Promise<void> {
  const { registry } = deps;
  if (registry.policy().readOnly) return;
  await registry.housekeeping.collect({
    dryRun: false,
    grace: gcGrace,
    inUse: () => artifactsInUse(config.publicUrls, deps),
  });
}

/** One that was cut short goes on at once. */
async function scrubWhenDue(upkeep: RegistryUpkeep, { registry, now }: ControllerDeps) {
  const { scrub } = registry.housekeeping;
  const { startedAt, finishedAt } = await scrub.progress();
  const isDue =
    startedAt === null || finishedAt === null || startedAt + upkeep.scrubInterval <= now();
  if (isDue) await scrub.start(upkeep.scrubRate);
}
