// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * A fault planted in each step of install-linux, in real images and recipes: each comes out of the API as
 * exactly that unit, and nothing runs after it.
 */
import { expect, test } from "bun:test";
import { chmod, copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { stringAt } from "../../src/base/json.ts";
import { linuxRecipe } from "./recipe.ts";
import { buildDebianRoot } from "./rootfs.ts";
import { CACHE, insertedMedia, type Site, startSite, story } from "./site.ts";
import { addServer, expectProgram } from "./world.ts";

const SERIAL = "E2E-FAULTS";
const STEPS = ["partition", "image-linux", "bootloader-linux", "config-drive"] as const;

interface Fault {
  readonly step: (typeof STEPS)[number];
  readonly why: string;
  readonly image: string;
  readonly change?: (recipe: Record<string, unknown>) => Record<string, unknown>;
  /** What the operator is told. */
  readonly error: RegExp;
}

const FAULTS: readonly Fault[] = [
  {
    step: "partition",
    why: "the disk does not exist",
    image: "good:1",
    change: (recipe) => ({ ...recipe, target_disk: "/dev/vdz" }),
    error: /\/dev\/vdz/,
  },
  {
    step: "image-linux",
    why: "the artifact is no tarball",
    image: "noise:1",
    error: /not a tarball/,
  },
  {
    step: "bootloader-linux",
    why: "a command in the chroot fails",
    image: "broken-grub:1",
    error: /grub-install.*planted fault/s,
  },
  {
    step: "config-drive",
    why: "the image has a file where the seed directory must be",
    image: "seed-file:1",
    change: ({ partition_layout: layout, ...recipe }) => ({
      ...recipe,
      partition_layout: (layout as unknown[]).slice(0, 2),
    }),
    error: /seed/,
  },
];

test("a fault in each step is reported once, by its unit, and nothing runs after it (R31, R41)", async () => {
  await using site = await startSite([`--server=${SERIAL}`]);
  await addServer(site.controller, site.lab.server(SERIAL));
  await pushImages(site);
  for (const fault of FAULTS) await expectFault(site, fault);
}, 1_800_000);

async function expectFault(site: Site, fault: Fault): Promise<void> {
  const { controller, lab } = site;
  const recipe = linuxRecipe({ hostname: "never", image: fault.image });
  const path = join(site.directory, "recipe.json");
  await Bun.write(path, JSON.stringify(fault.change?.(recipe) ?? recipe));
  const watched = await controller.prov("job", "create", SERIAL, path, "--watch");
  expect(watched.code).toBe(3);

  const [id = ""] = watched.stdout.split("\n", 1);
  const job = await controller.provJson("job", "show", id);
  const lines = story(job);
  const later = STEPS.slice(STEPS.indexOf(fault.step) + 1);
  expect({
    fault: fault.why,
    failedStep: stringAt(job, "failed_step"),
    reports: lines.filter((line) => line.includes("The agent reports")).length,
    laterSteps: lines.filter((line) => later.some((step) => line.startsWith(`${step}.service`))),
    media: await insertedMedia(lab.server(SERIAL)),
  }).toEqual({
    fault: fault.why,
    failedStep: `${fault.step}.service`,
    reports: 1,
    laterSteps: [],
    media: 0,
  });
  expect(stringAt(job, "error")).toMatch(fault.error);
}

async function pushImages({ controller, directory }: Site): Promise<void> {
  const good = await buildDebianRoot(CACHE);
  const noise = join(directory, "noise.tar.zst");
  await Bun.write(noise, crypto.getRandomValues(new Uint8Array(65_536)));
  const images = {
    "good:1": good,
    "noise:1": noise,
    "broken-grub:1": await derive(good, directory, {
      "usr/sbin/grub-install": "#!/bin/sh\necho planted fault >&2\nexit 1\n",
    }),
    "seed-file:1": await derive(good, directory, { "var/lib/cloud/seed/nocloud": "in the way\n" }),
  };
  for (const [reference, file] of Object.entries(images)) {
    const pushed = await controller.prov("artifact", "push", file, reference);
    expect(pushed.code).toBe(0);
  }
}

/** The image with a few files added or replaced: of two entries of a name tar keeps the last. */
async function derive(
  tarball: string,
  directory: string,
  files: Readonly<Record<string, string>>,
): Promise<string> {
  const name = Bun.hash(JSON.stringify(files)).toString(36);
  const work = join(directory, name);
  await mkdir(work, { recursive: true });
  await copyFile(tarball, `${work}.tar.zst`);
  await expectProgram(["zstd", "--quiet", "--decompress", "--rm", `${work}.tar.zst`]);
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(work, path)), { recursive: true });
    await Bun.write(join(work, path), text);
    await chmod(join(work, path), 0o755);
    await expectProgram([
      "tar",
      "--append",
      `--file=${work}.tar`,
      `--directory=${work}`,
      `./${path}`,
    ]);
  }
  await expectProgram(["zstd", "--quiet", "-1", "--rm", `${work}.tar`]);
  return `${work}.tar.zst`;
}
