// SPDX-License-Identifier: AGPL-3.0-or-later
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { UploadMemory } from "../registry/client/push-blob.ts";
import { createUploadState } from "../registry/client/upload-state.ts";
import type { Cli } from "./command.ts";

/** Under XDG_STATE_HOME; undefined for somebody without a home, who has no state. */
export function uploadMemory({ terminal: { env }, now }: Cli): UploadMemory | undefined {
  const home = env.HOME;
  const hasHome = home !== undefined && existsSync(home);
  const state = env.XDG_STATE_HOME || (hasHome ? join(home, ".local/state") : undefined);
  if (state === undefined) return undefined;
  const directory = join(state, "prov/uploads");
  return createUploadState({ directory, now, pid: process.pid, isRunning });
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // Somebody else's is running, too.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
