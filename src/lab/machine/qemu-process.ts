// SPDX-License-Identifier: AGPL-3.0-or-later
import { open, readFile } from "node:fs/promises";
import type { Subprocess } from "bun";
import { ProvError } from "../../base/errors.ts";
import { stringAt } from "../../base/json.ts";
import { driveId } from "./qemu-arguments.ts";
import { openQmp, type Qmp } from "./qmp.ts";

/** One QEMU process: one boot of a machine. */
export interface QemuProcess {
  /** Fills a tray; an occupied one is swapped. `url` is served by a media proxy. */
  insert(drive: number, url: string): Promise<void>;
  eject(drive: number): Promise<void>;
  /** Starts the paused machine. */
  run(): Promise<void>;
  /** The ACPI power button. */
  pressPowerButton(): Promise<void>;
  /** SIGKILL: a QEMU whose medium stalls ignores everything else. Resolves when it is gone. */
  kill(): Promise<void>;
  /** Why it ended. */
  readonly ended: Promise<"guest-reset" | "off">;
}

export interface QemuProcessOptions {
  readonly arguments: readonly string[];
  /** QEMU's stderr is appended to this file. */
  readonly log: string;
  readonly program?: string;
}

/**
 * Starts QEMU, paused. The kernel kills it when this process dies, however that happens.
 * @throws {ProvError} `COMMAND_FAILED` with QEMU's last words.
 */
export async function startQemu(options: QemuProcessOptions): Promise<QemuProcess> {
  const log = await open(options.log, "a");
  const logged = (await log.stat()).size;
  const child = Bun.spawn(
    [
      ...["setpriv", "--pdeathsig", "KILL", "--"],
      ...[options.program ?? "qemu-system-x86_64", ...options.arguments],
    ],
    { stdin: "pipe", stdout: "pipe", stderr: log.fd },
  );
  await log.close();
  let reset = false;
  try {
    const qmp = await openQmp({
      input: child.stdout,
      send: (line) => {
        child.stdin.write(line);
        void child.stdin.flush();
      },
      onEvent: (name, data) => {
        if (name === "SHUTDOWN") reset = stringAt(data, "reason") === "guest-reset";
      },
    });
    return control(child, qmp, () => reset);
  } catch (error) {
    child.kill("SIGKILL");
    await child.exited;
    const words = (await readFile(options.log, "utf8")).slice(logged).trim();
    throw new ProvError(`Cannot start QEMU: ${words.slice(-1000) || `exit ${child.exitCode}`}`, {
      code: "COMMAND_FAILED",
      cause: error,
    });
  }
}

/**
 * The drive's content as a block device description (docs/interop/qmp, BlockdevOptionsCurlHttp).
 * QEMU gives up a read after 5 s by default and the guest sees a broken CD; a media server may be
 * slower than that, and the proxy in between tries again.
 */
const mediumNode = (url: string): string =>
  `json:${JSON.stringify({ driver: "raw", file: { driver: "http", url, timeout: 300, readahead: 1024 * 1024 } })}`;

function control(
  child: Subprocess<"pipe", "pipe", number>,
  qmp: Qmp,
  isReset: () => boolean,
): QemuProcess {
  return {
    ended: child.exited.then(() => (isReset() ? "guest-reset" : "off")),
    insert: async (drive, url) => {
      await qmp.execute("blockdev-change-medium", {
        id: driveId(drive),
        filename: mediumNode(url),
        force: true,
        "read-only-mode": "read-only",
      });
    },
    eject: async (drive) => {
      await qmp.execute("eject", { id: driveId(drive), force: true });
    },
    run: async () => {
      await qmp.execute("cont");
    },
    pressPowerButton: async () => {
      await qmp.execute("system_powerdown");
    },
    kill: async () => {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
