// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The maintenance ISO, from Debian packages, the files in rootfs/ and the prov binary. The base is one squashfs
 * and takes minutes; what changes from day to day is a second one, laid over it at boot, and takes seconds.
 */
import {
  chmod,
  copyFile,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { debianBase, toolImages } from "./debian-base.ts";
import { hash, run, type Stage, stage, type Workshop, withOwnMounts } from "./stage.ts";

const HERE = import.meta.dir;
const ROOTFS = join(HERE, "rootfs");

export interface MaintenanceIsoOptions {
  /** The compiled binary, for the architecture of the ISO (x86-64). */
  readonly provBinary: string;
  /** Where the ISO goes; replaced in one step. */
  readonly out: string;
  /** Folder for what can be used again by the next build. */
  readonly cache: string;
  readonly log: (line: string) => void;
  /**
   * Root folder of another base with the boot files in /usr/lib/prov/boot, such as the image of
   * ./Containerfile, unpacked. Made from Debian packages when absent.
   */
  readonly root?: string;
}

export interface MaintenanceIso {
  readonly path: string;
  readonly sizes: readonly { readonly part: string; readonly bytes: number }[];
}

/** Needs root, for file owners and mounts. @throws {Error} naming the program that failed, its output as cause. */
export async function buildMaintenanceIso(options: MaintenanceIsoOptions): Promise<MaintenanceIso> {
  if (process.getuid?.() !== 0) throw new Error("Cannot build the maintenance ISO: it needs root");
  const workshop: Workshop = {
    cache: join(options.cache, "maintenance-os"),
    log: options.log,
    epoch: Number(process.env.SOURCE_DATE_EPOCH ?? 1_700_000_000),
  };
  const base =
    options.root === undefined
      ? await debianBase(workshop)
      : {
          path: options.root,
          key: hash([options.root, String((await stat(options.root)).mtimeMs)]),
        };
  const images = await toolImages(base, workshop);
  const baseImage = await squashBase(base, images, workshop);
  const initramfs = await packInitramfs(base, workshop);
  const provImage = await squashProv(options.provBinary, base, workshop);
  const boot = join(base.path, "usr/lib/prov/boot");

  const inputs = await Promise.all(
    ["boot/grub.cfg", "boot/esp.cfg", "scripts/iso.sh"].map((path) => readFile(join(HERE, path))),
  );
  const buildId = hash([baseImage.key, provImage.key, initramfs.key, ...inputs]);
  const parts = [initramfs.path, baseImage.path, provImage.path];
  const unfinished = `${options.out}.${process.pid}`;
  await mkdir(dirname(options.out), { recursive: true });
  try {
    await run([join(HERE, "scripts/iso.sh"), boot, ...parts, buildId, unfinished], workshop);
    await rename(unfinished, options.out);
  } finally {
    await rm(unfinished, { force: true });
  }
  const sizes = await measure({
    "base system and tool images": baseImage.path,
    "prov and its units": provImage.path,
    kernel: join(boot, "vmlinuz"),
    initramfs: initramfs.path,
    "whole ISO, with 16 MiB for a task": options.out,
  });
  for (const { part, bytes } of sizes) {
    options.log(`${(bytes / 1_048_576).toFixed(1).padStart(7)} MiB  ${part}`);
  }
  return { path: options.out, sizes };
}

async function squashBase(base: Stage, images: Stage, workshop: Workshop): Promise<Stage> {
  const script = join(HERE, "scripts/squashfs.sh");
  const inputs = [base.key, images.key, await readFile(script)];
  return await stage("base-squashfs", inputs, workshop, (path) =>
    run(withOwnMounts([script, base.path, images.path, path]), workshop),
  );
}

async function packInitramfs(base: Stage, workshop: Workshop): Promise<Stage> {
  const script = join(HERE, "scripts/initramfs.sh");
  const files = [script, join(HERE, "initramfs/init"), join(HERE, "initramfs/modules.txt")];
  const inputs = await Promise.all(files.map((path) => readFile(path)));
  return await stage("initramfs", [base.key, ...inputs], workshop, (path) =>
    run([script, base.path, path], workshop),
  );
}

/** The layer above the base: the files of rootfs/, the binary, and what says which build this is. */
async function squashProv(binary: string, base: Stage, workshop: Workshop): Promise<Stage> {
  const version = String(JSON.parse(await Bun.file(join(HERE, "../package.json")).text()).version);
  const files = (await readdir(ROOTFS, { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const contents = await Promise.all(files.map(readFileOrLink));
  const binaryBytes = await Bun.file(binary).bytes();
  const inputs = [base.key, version, binaryBytes, ...files, ...contents];
  return await stage("prov-squashfs", inputs, workshop, async (path) => {
    const tree = `${path}.tree`;
    try {
      await mkdir(join(tree, "usr/bin"), { recursive: true });
      await run(["cp", "--recursive", "--no-dereference", `${ROOTFS}/.`, tree], workshop);
      await copyFile(binary, join(tree, "usr/bin/prov"));
      const osRelease = await Bun.file(join(base.path, "usr/lib/os-release")).text();
      await Bun.write(
        join(tree, "usr/lib/os-release"),
        describeSystem(osRelease, version, hash(inputs)),
      );
      // Whatever the umask of this build and of the checkout: everyone reads, root writes.
      await run(["chmod", "--recursive", "u=rwX,go=rX", tree], workshop);
      await chmod(join(tree, "usr/bin/prov"), 0o755);
      await run(
        [
          ...["mksquashfs", tree, path, "-noappend", "-quiet", "-no-progress", "-all-root"],
          ...["-comp", "zstd", "-Xcompression-level", "15", "-b", "1M"],
        ],
        workshop,
      );
    } finally {
      await rm(tree, { recursive: true, force: true });
    }
  });
}

/** os-release(5) of the base with the fields that name an image built from it. */
function describeSystem(base: string, version: string, build: string): string {
  const rest = base.split("\n").filter((line) => line !== "" && !line.startsWith("PRETTY_NAME="));
  return [
    `PRETTY_NAME="prov maintenance OS ${version}"`,
    ...rest,
    "VARIANT_ID=prov-maintenance-os",
    "IMAGE_ID=prov-maintenance-os",
    `IMAGE_VERSION=${version}`,
    `BUILD_ID=${build}`,
    "",
  ].join("\n");
}

/** The target of a symbolic link, the content of a file. */
function readFileOrLink(path: string): Promise<string | Uint8Array> {
  return readlink(path).catch(() => readFile(path));
}

async function measure(parts: Readonly<Record<string, string>>) {
  return await Promise.all(
    Object.entries(parts).map(async ([part, path]) => ({ part, bytes: (await stat(path)).size })),
  );
}
