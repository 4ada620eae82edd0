// SPDX-License-Identifier: AGPL-3.0-or-later
import { access } from "node:fs/promises";
import { join } from "node:path";
import { seconds } from "../base/units.ts";
import type { CommandRunner } from "../exec/runner.ts";
import type { ClientDeps } from "./controller-client.ts";
import type { AgentPaths } from "./paths.ts";

/** Storage controllers spin disks up one after the other, and number them as they come. */
const PATIENCE = seconds(90);
const POLL = seconds(1);
const SETTLE = seconds(70);

/**
 * Waits until the recipe's disk is there and udev knows its serial and its other names. A disk that does not
 * come is for the planner to complain about.
 */
export async function awaitDisk(
  targetDisk: string | null,
  paths: AgentPaths,
  deps: ClientDeps & { readonly runner: CommandRunner },
  signal: AbortSignal,
): Promise<void> {
  if (targetDisk === null) return;
  const node = join(paths.dev, targetDisk.replace(/^\/dev\//, ""));
  const giveUpAt = deps.now() + PATIENCE;
  while (!(await isThere(node)) && deps.now() < giveUpAt) await deps.sleep(POLL, signal);
  // A queue that does not empty says nothing about this disk.
  await deps.runner
    .run(["udevadm", "settle", "--timeout=60"], { timeout: SETTLE, signal })
    .catch(() => undefined);
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
