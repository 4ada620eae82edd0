// SPDX-License-Identifier: AGPL-3.0-or-later
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProvError } from "../base/errors.ts";

/** Both ends of a pipe of the kernel's; whoever opened it closes them. */
export interface Pipe {
  readonly readEnd: number;
  readonly writeEnd: number;
  readonly close: () => void;
}

/**
 * Opens a pipe that two children can share, so that what one writes and the other reads never passes through
 * this process. The runtime has no pipe(2); a FIFO that is unlinked at once is the same thing.
 *
 * @throws {ProvError} `COMMAND_FAILED`
 */
export function openPipe(): Pipe {
  const directory = mkdtempSync(join(tmpdir(), "prov-pipe-"));
  try {
    const path = join(directory, "pipe");
    const made = Bun.spawnSync(["mkfifo", "--mode=600", path], {
      stdout: "ignore",
      stderr: "pipe",
    });
    if (made.exitCode !== 0) {
      const cause = made.stderr.toString().trim();
      throw new ProvError("Cannot make a pipe", { code: "COMMAND_FAILED", cause });
    }
    // Opening one end waits for the other; opening both at once does not (fifo(7)).
    const both = openSync(path, constants.O_RDWR);
    const readEnd = openSync(path, constants.O_RDONLY);
    const writeEnd = openSync(path, constants.O_WRONLY);
    closeSync(both);
    const close = () => {
      closeSync(readEnd);
      closeSync(writeEnd);
    };
    return { readEnd, writeEnd, close };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
