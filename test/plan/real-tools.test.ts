// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Argv } from "../../src/plan/action.ts";
import type { Disk, PartitionTable } from "../../src/plan/facts.ts";
import { matchesLayout } from "../../src/plan/match-layout.ts";
import { parseBlkid } from "../../src/plan/parse-blkid.ts";
import { parseSfdisk } from "../../src/plan/parse-sfdisk.ts";
import { partitionTypeGuid } from "../../src/recipe/partition-type.ts";
import type { Recipe } from "../../src/recipe/recipe.ts";
import { mkfsArgv } from "../../src/workflows/install-linux/mkfs.ts";
import { partition } from "../../src/workflows/install-linux/partition.ts";
import { linuxTarget } from "../../src/workflows/install-linux/target.ts";
import { DIGEST, disk, machine, SERIAL } from "../helpers/machines.ts";
import { recipeOf } from "../helpers/recipes.ts";

/** What planners print is run here by the programs themselves, on plain files. */
const DIRECTORY = mkdtempSync(join(tmpdir(), "prov-tools-"));
afterAll(() => rmSync(DIRECTORY, { recursive: true }));

const MIB = 1024 ** 2;

function runTool(argv: readonly string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...argv], {
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
  });
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stdout}${stderr}`);
  return stdout.toString();
}

function blankFile(name: string, bytes: number): string {
  const path = join(DIRECTORY, name);
  writeFileSync(path, "");
  truncateSync(path, bytes);
  return path;
}

const RECIPE = recipeOf({
  task_target: "install-linux.target",
  target_disk: "/dev/vda",
  oci_url: "debian:13",
  partition_layout: [
    { size: "64M", type_guid: "ef00", format: "vfat", label: "ESP" },
    { size: "64M", type_guid: "8200", format: "swap", label: "swap" },
    { size: "400M", type_guid: "8310", format: "xfs", label: "var", mountpoint: "/var" },
    { size: "200M", type_guid: "8302", format: "btrfs", label: "home", mountpoint: "/home" },
    { size: "100%", type_guid: "8304", format: "ext4", label: "root of all", mountpoint: "/" },
    { size: "16M", type_guid: "8300", format: "vfat", label: "cidata" },
    { size: "1M", type_guid: "0c01" },
  ],
});
const SIZE = 1024 * MIB;
const DISK = disk("/dev/vda", { sizeBytes: SIZE });

const JOB = {
  serverSerial: SERIAL,
  bootMedium: null,
  artifact: { name: "debian:13", digest: DIGEST },
  files: "/run/provision",
};

function layoutOf(recipe: Recipe, blank: Disk) {
  return linuxTarget({ recipe, machine: machine([blank]), job: JOB }).layout;
}

function sgdiskArgv(): Argv {
  const plan = partition.plan(
    { recipe: RECIPE, machine: machine([DISK]), job: JOB },
    { paths: [], texts: {}, sha256: {} },
  );
  const found = plan.actions.flatMap((a) =>
    a.kind === "run" && a.argv[0] === "sgdisk" ? [a] : [],
  );
  return found[0]?.argv ?? [""];
}

describe("the planned commands, run by the real programs", () => {
  test("leave a disk on which a second run recognises its own layout (R37, R38)", () => {
    const image = blankFile("disk", SIZE);
    runTool(sgdiskArgv().map((word) => (word === "/dev/vda" ? image : word)));
    const listed = parseSfdisk(runTool(["sfdisk", "--json", image]).replaceAll(image, "/dev/vda"));
    expect(runTool(["sgdisk", "--verify", image])).toContain("No problems found");

    const layout = layoutOf(RECIPE, DISK);
    const table: PartitionTable = {
      ...listed,
      partitions: listed.partitions.map((p, i) => {
        const wanted = layout.partitions[i];
        if (wanted === undefined) throw new Error(`partition ${i + 1} was not asked for`);
        const volume = blankFile(`volume-${i + 1}`, wanted.sizeBytes);
        const argv = mkfsArgv(wanted, volume, 512);
        if (argv === null) return { ...p, signature: null };
        runTool(argv);
        return {
          ...p,
          signature: parseBlkid(runTool(["blkid", "--probe", "--output", "export", volume])),
        };
      }),
    };
    expect(matchesLayout({ ...DISK, table }, layout)).toBe(true);

    const changed = table.partitions.map((p, i) => (i === 2 ? { ...p, signature: null } : p));
    expect(matchesLayout({ ...DISK, table: { ...table, partitions: changed } }, layout)).toBe(
      false,
    );
  });

  test("read a code as the GUID that sgdisk writes for it", () => {
    const codes = ["ef00", "8200", "8300", "8302", "8304", "8310", "0700", "0c01", "fd00", "8e00"];
    const image = blankFile("codes", 64 * MIB);
    runTool([
      "sgdisk",
      "--clear",
      ...codes.flatMap((code, i) => [`--new=${i + 1}:0:+1M`, `--typecode=${i + 1}:${code}`]),
      image,
    ]);
    const table = parseSfdisk(runTool(["sfdisk", "--json", image]));
    expect(table.partitions.map((p) => p.type)).toEqual(
      codes.map((code) => partitionTypeGuid(code) ?? ""),
    );
  });
});
