// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * `prov dispatch`: from a booted maintenance OS to a started workflow. It finds the task, checks that
 * it is meant for this server, writes what the steps read, and hands over to systemd.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describeError, ProvError } from "../base/errors.ts";
import { type Millis, minutes, seconds } from "../base/units.ts";
import type { CommandRunner } from "../exec/runner.ts";
import { expectSuccess } from "../exec/runner.ts";
import type { Envelope } from "../jobs/envelope.ts";
import { type ClientDeps, postToController } from "./controller-client.ts";
import { readEnvelopeFile } from "./envelope-file.ts";
import { orFail } from "./exit.ts";
import { reasonOf, writeFailure } from "./failure.ts";
import { applyNetwork, writeEnvelope, writeTaskFiles } from "./outputs.ts";
import type { AgentPaths } from "./paths.ts";
import { readTask } from "./task.ts";
import { findTaskMedia, type TaskMedium } from "./task-medium.ts";

export interface DispatchOptions {
  readonly paths: AgentPaths;
  /** How long to wait for a task medium; the BMC may attach it late. */
  readonly mediumWait: Millis;
  /** Write everything, start nothing. */
  readonly noStart: boolean;
  /** Start this target instead of the recipe's. */
  readonly targetOverride: string | null;
  readonly version: string;
  /** Effective user id; mounting and starting units need 0. */
  readonly uid: number;
}

export interface DispatchDeps extends ClientDeps {
  readonly runner: CommandRunner;
}

const UNIT = "provision-dispatcher.service";
const POLL = seconds(1);
const MOUNT_TIMEOUT = seconds(60);
const SYSTEMCTL_TIMEOUT = seconds(60);
/** Telling the controller that we are here must not outlive the first step by much. */
const CHECK_IN_PATIENCE = minutes(3);

/** @throws {ProvError} with the exit code that says where it ended; the report finds the reason. */
export async function dispatch(options: DispatchOptions, deps: DispatchDeps): Promise<void> {
  try {
    await dispatchTask(options, deps);
  } catch (error) {
    await writeFailure(options.paths, UNIT, reasonOf(error), deps.log);
    throw error;
  }
}

async function dispatchTask(options: DispatchOptions, deps: DispatchDeps): Promise<void> {
  const { paths } = options;
  if (options.uid !== 0) {
    throw new ProvError("Cannot mount the task medium: prov dispatch needs root", {
      code: "PRIVILEGES_MISSING",
    });
  }
  const envelope = await mountTask(options, deps);
  await orFail("OUTPUT_FAILED", `Cannot write to ${paths.run}`, () =>
    writeEnvelope(paths, envelope),
  );
  await applyNetwork(paths, envelope.network, deps);
  await checkSerial(paths, envelope);

  const task = await readTask(paths.taskMount);
  await orFail("OUTPUT_FAILED", `Cannot write to ${paths.run}`, () =>
    writeTaskFiles(paths, { envelope, task, version: options.version }),
  );
  deps.log.info({ target: task.recipe.taskTarget, job_id: envelope.job_id }, "task accepted");
  if (options.noStart) return;

  const target = options.targetOverride ?? task.recipe.taskTarget;
  await orFail("SYSTEMD_REFUSED", `Cannot start ${target}`, async () => {
    // A blocking start would be killed by this unit's own start timeout.
    const argv = ["systemctl", "start", "--no-block", target] as const;
    expectSuccess(argv, await deps.runner.run(argv, { timeout: SYSTEMCTL_TIMEOUT }));
  });
  await checkIn(envelope, options.version, deps);
}

/** Waits for a medium with a readable envelope and leaves it mounted. */
async function mountTask(options: DispatchOptions, deps: DispatchDeps): Promise<Envelope> {
  const giveUpAt = deps.now() + options.mediumWait;
  let last: ProvError | undefined;
  for (;;) {
    for (const medium of await findTaskMedia(options.paths)) {
      try {
        return await mountAndRead(medium, options.paths, deps);
      } catch (error) {
        if (!(error instanceof ProvError)) throw error;
        deps.log.warn({ medium: medium.path, error: describeError(error) }, "not a usable task");
        last = error;
      }
    }
    // Virtual media fail now and then, most of all when they have just been attached.
    if (deps.now() >= giveUpAt) {
      if (last !== undefined) throw last;
      throw new ProvError(
        "Cannot find a task: no CD, USB device or boot medium holds a volume labelled TASK_…",
        { code: "TASK_NOT_FOUND" },
      );
    }
    await deps.sleep(POLL);
  }
}

async function mountAndRead(
  medium: TaskMedium,
  paths: AgentPaths,
  deps: DispatchDeps,
): Promise<Envelope> {
  const options = `ro,nosuid,nodev,noexec${medium.kind === "image" ? ",loop" : ""}`;
  const argv = [
    "mount",
    "--mkdir",
    "--types=iso9660",
    `--options=${options}`,
    medium.path,
    paths.taskMount,
  ] as const;
  await orFail("TASK_UNMOUNTABLE", `Cannot mount the task medium ${medium.path}`, async () => {
    expectSuccess(argv, await deps.runner.run(argv, { timeout: MOUNT_TIMEOUT }));
  });
  try {
    return await orFail("RECIPE_UNREADABLE", `Cannot read task.json on ${medium.path}`, async () =>
      readEnvelopeFile(join(paths.taskMount, "task.json")),
    );
  } catch (error) {
    await deps.runner.run(["umount", paths.taskMount], { timeout: MOUNT_TIMEOUT });
    throw error;
  }
}

/** Refuses to touch any server but the one the job is for (R36). */
async function checkSerial(paths: AgentPaths, envelope: Envelope): Promise<void> {
  const file = join(paths.sys, "class/dmi/id/product_serial");
  const serial = await readFile(file, "utf8").catch(() => "");
  if (serial.trim() !== envelope.server_serial) {
    throw new ProvError(
      `This task is for the server "${envelope.server_serial}", and this one is "${serial.trim()}"`,
      { code: "SERVER_MISMATCH" },
    );
  }
}

/** Best effort: the controller also learns from the steps' progress that we are here. */
async function checkIn(envelope: Envelope, version: string, deps: ClientDeps): Promise<void> {
  const body = { events: [{ type: "checked-in", agent_version: version }] };
  try {
    await postToController(
      envelope,
      `/api/v1/jobs/${envelope.job_id}/progress`,
      body,
      { patience: CHECK_IN_PATIENCE },
      deps,
    );
  } catch (error) {
    deps.log.warn({ error: describeError(error) }, "could not check in with the controller");
  }
}
