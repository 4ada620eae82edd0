// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A whole install without a machine: dispatch() and then every step, with a registry that has a small Debian.
 */
import { cp, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { realSleep, silentLog } from "../../src/base/deps.ts";
import { seconds } from "../../src/base/units.ts";
import { dispatch } from "../../src/dispatcher/dispatch.ts";
import { runStep } from "../../src/dispatcher/step.ts";
import type { Envelope } from "../../src/jobs/envelope.ts";
import { RECIPE_SCHEMA_TEXT } from "../../src/recipe/schema.ts";
import { pushFile } from "../../src/registry/client/push.ts";
import { ASSUMED_DEBIAN } from "../../src/workflows/assumed.ts";
import { recipeOf } from "../helpers/recipes.ts";
import { serveRegistry } from "../registry/served.ts";
import { agentTree, ENVELOPE } from "./agent-tree.ts";
import { addDevice } from "./devices.ts";
import { FakeController } from "./fake-controller.ts";
import { FakeMachine } from "./fake-machine.ts";

export const STEPS = ["partition", "image-linux", "bootloader-linux", "config-drive"] as const;

export const USER_DATA = "#cloud-config\npassword: CANARY-user-data\n";

const RECIPE = {
  task_target: "install-linux.target",
  target_disk: "/dev/sda",
  oci_url: "os-images/debian:13",
  user_data: USER_DATA,
  metadata: { note: "CANARY-metadata" },
  partition_layout: [
    { size: "512M", type_guid: "ef00", format: "vfat", label: "ESP" },
    { size: "100%", type_guid: "8300", format: "ext4", label: "root" },
    { size: "16M", type_guid: "8300", format: "vfat", label: "cidata" },
  ],
};

export async function openInstall() {
  const tree = await agentTree();
  const served = await serveRegistry();
  const tar = await debianTar(tree.root);
  const { digest } = await pushFile(
    {
      registry: served.url,
      repository: "os-images/debian",
      tag: "13",
      authorization: null,
      ca: null,
    },
    { path: tar },
    {
      fetch,
      sleep: realSleep,
      now: Date.now,
      log: silentLog,
      signal: new AbortController().signal,
      onProgress: () => {},
    },
  );
  const envelope: Envelope = {
    ...ENVELOPE,
    token: "CANARY-token",
    artifact: { registry: null, repository: "os-images/debian", reference: "13", digest },
  };
  const controller = new FakeController(({ url, headers }) => {
    const { pathname } = new URL(url);
    if (pathname === "/healthz") return new Response("ok");
    if (!pathname.startsWith("/v2/")) return new Response(null, { status: 204 });
    return served.ask("GET", pathname.slice("/v2/".length), { headers });
  });
  const machine = new FakeMachine(tree.root, envelope, recipeOf(RECIPE));
  const deps = { ...controller.deps, ...machine.tree, runner: machine.runner };

  return {
    ...tree,
    controller,
    machine,
    envelope,
    /** Boots the maintenance OS as far as `prov dispatch` goes. */
    async boot(): Promise<void> {
      await addDevice(tree.root, { name: "sr1", volumeId: "TASK_1", bus: "sata" });
      const serial = join(tree.paths.sys, "class/dmi/id/product_serial");
      await Bun.write(serial, envelope.server_serial);
      const medium = join(tree.root, "medium");
      await Bun.write(join(medium, "recipe.json"), JSON.stringify(RECIPE));
      await Bun.write(join(medium, "recipe.schema.json"), RECIPE_SCHEMA_TEXT);
      await Bun.write(join(medium, "task.json"), JSON.stringify(envelope));
      await Bun.write(join(medium, "user-data"), USER_DATA);
      await cp(medium, tree.paths.taskMount, { recursive: true });
      const options = { paths: tree.paths, mediumWait: seconds(1), version: "1.2.3", uid: 0 };
      await dispatch({ ...options, noStart: false, targetOverride: null }, deps);
      machine.mounted.length = 0;
    },
    /** `prov step`; what it threw, if it did. */
    step(name: string, signal = new AbortController().signal): Promise<unknown> {
      return runStep(name, tree.paths, deps, signal).then(
        () => undefined,
        (error: unknown) => error,
      );
    },
    [Symbol.asyncDispose]: async () => {
      await served[Symbol.asyncDispose]();
      await tree[Symbol.asyncDispose]();
    },
  };
}

/** A tarball with what the planners look for in a Debian. */
async function debianTar(scratch: string): Promise<string> {
  const root = join(scratch, "debian");
  for (const path of ASSUMED_DEBIAN.paths) await Bun.write(join(root, path), path);
  for (const [path, text] of Object.entries(ASSUMED_DEBIAN.texts)) {
    await Bun.write(join(root, path), text);
  }
  await mkdir(join(root, "boot/efi"), { recursive: true });
  const tar = join(scratch, "root.tar");
  const { exitCode } = Bun.spawnSync([
    "tar",
    "--create",
    `--file=${tar}`,
    `--directory=${root}`,
    ".",
  ]);
  if (exitCode !== 0) throw new Error(`tar exited with ${exitCode}`);
  await rm(root, { recursive: true });
  return tar;
}
