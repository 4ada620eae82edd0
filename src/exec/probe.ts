// SPDX-License-Identifier: AGPL-3.0-or-later
import { access, readdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { ProvError } from "../base/errors.ts";
import { seconds } from "../base/units.ts";
import type { Disk, MachineFacts, PartitionTable, Signature, UefiFacts } from "../plan/facts.ts";
import { AMBIGUOUS, parseBlkid, UNREADABLE } from "../plan/parse-blkid.ts";
import { parseEfibootmgr } from "../plan/parse-efibootmgr.ts";
import { type ListedDisk, LSBLK_COLUMNS, parseLsblk } from "../plan/parse-lsblk.ts";
import { parseSfdisk } from "../plan/parse-sfdisk.ts";
import { type CommandRunner, expectSuccess } from "./runner.ts";

export interface ProbeOptions {
  readonly runner: CommandRunner;
  /** Read the firmware's boot entries too, with efibootmgr. */
  readonly bootEntries: boolean;
  /** `/sys` and `/dev`; other directories in tests. */
  readonly sys?: string;
  readonly dev?: string;
}

const TIMEOUT = seconds(60);
/** blkid(8), "EXIT CODES": nothing found; more than one signature. */
const BLKID_NOTHING = 2;
const BLKID_AMBIGUOUS = 8;
/** UEFI 2.10, "Globally Defined Variables". */
const EFI_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/** Learns what planners may know of this machine. Reads only. @throws {ProvError} `COMMAND_FAILED` */
export async function probeMachine(options: ProbeOptions): Promise<MachineFacts> {
  const { runner, sys = "/sys", dev = "/dev" } = options;
  const argv = ["lsblk", "--json", "--bytes", "--output", LSBLK_COLUMNS] as const;
  const listed = parseLsblk(
    expectSuccess(argv, await runner.run(argv, { timeout: TIMEOUT })).stdout,
  );
  const links = await symlinksByDevice(dev);
  const disks: Disk[] = [];
  for (const disk of listed) disks.push(await describeDisk(disk, links, runner));
  return {
    serial: await textOf(join(sys, "class/dmi/id/product_serial")),
    architecture: process.arch === "arm64" ? "arm64" : "x64",
    uefi: await probeUefi(sys, options),
    disks,
  };
}

async function describeDisk(
  disk: ListedDisk,
  links: ReadonlyMap<string, readonly string[]>,
  runner: CommandRunner,
): Promise<Disk> {
  const symlinks = links.get(disk.path) ?? [];
  // Media in drives are not targets, and reading them through a BMC takes time.
  if (disk.type === "rom" || disk.sizeBytes === 0) {
    return { ...disk, symlinks, signature: null, table: null };
  }
  try {
    return { ...disk, symlinks, ...(await readContents(disk.path, runner)) };
  } catch (error) {
    // A dying disk answers nobody in time. The others are none the worse for it.
    if (!(error instanceof ProvError) || error.code !== "COMMAND_TIMED_OUT") throw error;
    return { ...disk, symlinks, signature: UNREADABLE, table: null };
  }
}

async function readContents(
  path: string,
  runner: CommandRunner,
): Promise<Pick<Disk, "signature" | "table">> {
  const table = await readTable(path, runner);
  if (table !== "none" && table !== "unreadable") {
    return { signature: null, table };
  }
  const signature = await readSignature(path, runner);
  const fallback = table === "unreadable" ? UNREADABLE : null;
  return { signature: signature ?? fallback, table: null };
}

/** sfdisk exits in the same way when there is no table and when it cannot read the disk. */
const NO_TABLE = /does not contain a recognized partition table/;

async function readTable(
  path: string,
  runner: CommandRunner,
): Promise<PartitionTable | "none" | "unreadable"> {
  const result = await runner.run(["sfdisk", "--json", path], { timeout: TIMEOUT });
  if (result.exitCode !== 0) return NO_TABLE.test(result.stderr) ? "none" : "unreadable";
  const table = parseSfdisk(result.stdout);
  const partitions = [];
  for (const partition of table.partitions) {
    partitions.push({ ...partition, signature: await readSignature(partition.path, runner) });
  }
  return { ...table, partitions };
}

async function readSignature(path: string, runner: CommandRunner): Promise<Signature | null> {
  const argv = ["blkid", "--probe", "--output", "export", path] as const;
  const result = await runner.run(argv, { timeout: TIMEOUT });
  if (result.exitCode === BLKID_NOTHING) return null;
  if (result.exitCode === BLKID_AMBIGUOUS) return AMBIGUOUS;
  return parseBlkid(expectSuccess(argv, result).stdout);
}

/** `/dev/disk/by-*` and where each leads. */
async function symlinksByDevice(dev: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const links = new Map<string, string[]>();
  for (const kind of await readdir(join(dev, "disk")).catch(() => [])) {
    const directory = join(dev, "disk", kind);
    for (const name of (await readdir(directory).catch(() => [])).sort()) {
      const link = join(directory, name);
      const device = await realpath(link).catch(() => undefined);
      if (device !== undefined) links.set(device, [...(links.get(device) ?? []), link]);
    }
  }
  return links;
}

async function probeUefi(sys: string, options: ProbeOptions): Promise<UefiFacts | null> {
  const firmware = join(sys, "firmware/efi");
  const isUefi = await access(firmware).then(
    () => true,
    () => false,
  );
  if (!isUefi) return null;
  const variable = join(firmware, "efivars", `SecureBoot-${EFI_GLOBAL}`);
  // efivarfs: four bytes of attributes, then the value.
  const secureBoot = await readFile(variable).catch(() => undefined);
  return {
    secureBoot: secureBoot === undefined ? null : secureBoot[4] === 1,
    boot: options.bootEntries ? await readBootEntries(options.runner) : null,
  };
}

async function readBootEntries(runner: CommandRunner): Promise<UefiFacts["boot"]> {
  const argv = ["efibootmgr", "--verbose"] as const;
  const result = await runner.run(argv, { timeout: TIMEOUT });
  if (result.exitCode === 0) return parseEfibootmgr(result.stdout);
  // Variables that cannot be read leave the removable path to boot from: not the end of an install.
  if (/not supported/i.test(result.stderr)) return null;
  throw new ProvError("Cannot read the firmware's boot entries", {
    code: "COMMAND_FAILED",
    cause: result.stderr.trim(),
  });
}

async function textOf(path: string): Promise<string | null> {
  const text = (await readFile(path, "utf8").catch(() => "")).trim();
  return text === "" ? null : text;
}
