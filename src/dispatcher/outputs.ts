// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { describeError } from "../base/errors.ts";
import { seconds } from "../base/units.ts";
import { expectSuccess } from "../exec/runner.ts";
import type { Envelope } from "../jobs/envelope.ts";
import { type NetworkConfig, renderNetworkd } from "../jobs/network.ts";
import type { DispatchDeps } from "./dispatch.ts";
import { renderEnvFile } from "./env-file.ts";
import type { AgentPaths } from "./paths.ts";
import type { Task } from "./task.ts";

const SECRET = 0o600;
const PUBLIC = 0o644;

/** The envelope goes first: from here on a failure can be reported. */
export async function writeEnvelope(paths: AgentPaths, envelope: Envelope): Promise<void> {
  await mkdir(paths.run, { recursive: true, mode: 0o755 });
  await writeAtomically(join(paths.run, "task.json"), JSON.stringify(envelope, null, 2), SECRET);
}

/** Writes what the steps and their Quadlets read. */
export async function writeTaskFiles(
  paths: AgentPaths,
  made: { envelope: Envelope; task: Task; version: string },
): Promise<void> {
  const { envelope, task } = made;
  const { recipe } = task;
  const env = renderEnvFile({
    TASK_TARGET: recipe.taskTarget,
    JOB_ID: envelope.job_id,
    SERIAL_NUMBER: envelope.server_serial,
    TARGET_DISK: recipe.targetDisk,
    OCI_URL: recipe.ociUrl,
    FIRMWARE_URL: recipe.firmwareUrl,
  });
  const bootMedium = await readFile(paths.bootDevice, "utf8").catch(() => "");
  const write = (name: string, content: string | Uint8Array, mode: number) =>
    writeAtomically(join(paths.run, name), content, mode);

  await write("recipe.json", task.recipeText, SECRET);
  await write("recipe.env", env, SECRET);
  if (recipe.partitionLayout !== null) {
    await write("layout.json", JSON.stringify(recipe.partitionLayout, null, 2), PUBLIC);
  }
  for (const { name, bytes } of task.payloads) await write(name, bytes, SECRET);
  await write("boot-medium", bootMedium.trim(), PUBLIC);
  await write("build-info.txt", `prov ${made.version}\n`, PUBLIC);
}

/**
 * Gives the server the addresses of its record. Without any the maintenance OS goes on with DHCP. A failure
 * is logged only: the report of whatever fails for lack of a network says more.
 */
export async function applyNetwork(
  paths: AgentPaths,
  network: NetworkConfig | null,
  deps: DispatchDeps,
): Promise<void> {
  if (network === null) return;
  try {
    for (const { path, text } of renderNetworkd(network)) {
      await writeAtomically(join(paths.networkd, basename(path)), text, PUBLIC);
    }
    for (const argv of [
      ["udevadm", "trigger", "--settle", "--subsystem-match=net", "--action=add"],
      ["networkctl", "reload"],
    ] as const) {
      expectSuccess(argv, await deps.runner.run(argv, { timeout: seconds(30) }));
    }
  } catch (error) {
    deps.log.error({ error: describeError(error) }, "could not configure the network");
  }
}

/** Either the old content or the new one is there, whatever happens in between. */
async function writeAtomically(
  path: string,
  content: string | Uint8Array,
  mode: number,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  const temporary = `${path}.new`;
  {
    await using file = await open(temporary, "w", mode);
    await file.chmod(mode);
    await file.writeFile(content);
    await file.sync();
  }
  await rename(temporary, path);
}
