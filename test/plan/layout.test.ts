// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { computeLayout, type Geometry, type Layout, partitionPath } from "../../src/plan/layout.ts";
import { recipeFrom } from "../../src/recipe/parse.ts";
import type { PartitionSpec } from "../../src/recipe/recipe.ts";
import { linuxDocument, recipeOf } from "../helpers/recipes.ts";

const MIB = 1_048_576;
const GIB = 1024 * MIB;

const spec = (size: string, format: PartitionSpec["format"] = "raw"): PartitionSpec => ({
  size,
  typeGuid: "0fc63daf-8483-4772-8e79-3d69d8477de4",
  format,
  label: null,
  mountpoint: null,
});
const layout = (sizes: readonly string[], disk: Geometry): Layout =>
  computeLayout(
    sizes.map((s) => spec(s)),
    disk,
    "S1",
  );
const mib = (found: Layout) => found.partitions.map((p) => p.sizeBytes / MIB);

describe("computeLayout()", () => {
  test.each([
    // The first and the last block of 1 MiB belong to the table and its copy.
    { sizes: ["512M", "100%", "16M"], disk: 1024, is: [512, 494, 16] },
    { sizes: ["100%", "512M"], disk: 1024, is: [510, 512] },
    { sizes: ["22M", "50%", "25%"], disk: 1024, is: [22, 500, 250] },
    { sizes: ["22M", "50%", "100%"], disk: 1024, is: [22, 500, 500] },
    { sizes: ["1B", "1048577", "1025K"], disk: 1024, is: [1, 2, 2] },
    { sizes: ["1022M"], disk: 1024, is: [1022] },
  ])("lays $sizes out on $disk MiB as $is MiB (R37)", ({ sizes, disk, is }) => {
    for (const sectorBytes of [512, 4096]) {
      expect(mib(layout(sizes, { sizeBytes: disk * MIB, sectorBytes }))).toEqual([...is]);
    }
  });

  test.each([
    {
      sizes: ["512M", "100%"],
      disk: 513 * MIB,
      message: "they need 513 MiB, it has room for 511 MiB",
    },
    { sizes: ["1023M"], disk: GIB, message: "they need 1023 MiB, it has room for 1022 MiB" },
    { sizes: ["1022M", "1%"], disk: GIB, message: "they need 1023 MiB, it has room for 1022 MiB" },
    { sizes: ["1M"], disk: MIB, message: "they need 1 MiB, it has room for 0 B" },
    { sizes: ["1000M", "1%"], disk: GIB, message: "a percentage is too small, it has room for" },
  ])("throws DISK_MISMATCH for $sizes on $disk bytes (R37)", ({ sizes, disk, message }) => {
    expect(() => layout(sizes, { sizeBytes: disk, sectorBytes: 512 })).toThrow(
      expect.objectContaining({
        code: "DISK_MISMATCH",
        message: expect.stringContaining(`Cannot fit the partitions on the disk: ${message}`),
      }),
    );
  });

  test("refuses a share too small for its file system", () => {
    const specs = [spec("750M"), spec("100%", "xfs")];
    expect(() => computeLayout(specs, { sizeBytes: GIB, sectorBytes: 512 }, "S1")).toThrow(
      expect.objectContaining({ message: expect.stringContaining("they need 1.0 GiB") }),
    );
    expect(() =>
      computeLayout(specs, { sizeBytes: 2 * GIB, sectorBytes: 512 }, "S1"),
    ).not.toThrow();
  });

  test("gives other identities to another server, disk or wish, and the same to the same", () => {
    const disk = { sizeBytes: GIB, sectorBytes: 512 };
    const base = computeLayout([spec("100%")], disk, "S1");
    expect(computeLayout([spec("100%")], disk, "S1")).toEqual(base);
    const others = [
      computeLayout([spec("100%")], disk, "S2"),
      computeLayout([spec("100%")], { ...disk, sizeBytes: 2 * GIB }, "S1"),
      computeLayout([{ ...spec("100%"), label: "data" }], disk, "S1"),
      computeLayout([{ ...spec("100%"), mountpoint: "/x" }], disk, "S1"),
    ];
    const ids = [base, ...others].flatMap((l) => [l.diskGuid, ...l.partitions.map((p) => p.guid)]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("whatever is accepted fits a big enough disk: in order, aligned, apart, within bounds (R16)", () => {
    let planned = 0;
    fc.assert(
      fc.property(linuxDocument, fc.constantFrom(512, 4096), (document, sectorBytes) => {
        const { recipe } = recipeFrom(document);
        fc.pre(recipe?.partitionLayout != null);
        planned++;
        const disk = { sizeBytes: 64 * 1024 * GIB, sectorBytes };
        const found = computeLayout(recipe?.partitionLayout ?? [], disk, "S1").partitions;
        const perMib = MIB / sectorBytes;
        let free = perMib;
        for (const p of found) {
          expect(p.firstSector).toBe(free);
          expect(p.lastSector).toBeGreaterThanOrEqual(p.firstSector);
          free = p.lastSector + 1;
          expect(free % perMib).toBe(0);
        }
        // The copy of the table takes 33 sectors of 512 bytes, or 5 of 4096.
        const end = disk.sizeBytes / sectorBytes - (sectorBytes === 512 ? 33 : 5);
        expect(free).toBeLessThanOrEqual(end);
        const takesAll = recipe?.partitionLayout?.some((p) => p.size === "100%");
        if (takesAll) expect(end - free).toBeLessThan(perMib);
      }),
    );
    expect(planned).toBeGreaterThan(50);
  });
});

describe("partitionPath()", () => {
  test.each([
    { disk: "/dev/sda", number: 1, path: "/dev/sda1" },
    { disk: "/dev/vda", number: 12, path: "/dev/vda12" },
    { disk: "/dev/nvme0n1", number: 1, path: "/dev/nvme0n1p1" },
    { disk: "/dev/mmcblk0", number: 2, path: "/dev/mmcblk0p2" },
    { disk: "/dev/md127", number: 3, path: "/dev/md127p3" },
    { disk: "/dev/disk/by-id/ata-X1", number: 3, path: "/dev/disk/by-id/ata-X1-part3" },
    { disk: "/dev/mapper/mpatha", number: 3, path: "/dev/mapper/mpatha-part3" },
  ])("$disk, partition $number is $path (R37)", ({ disk, number, path }) => {
    expect(partitionPath(disk, number)).toBe(path);
  });
});

test("the recipes of the property are recipes", () => {
  expect(recipeOf(fc.sample(linuxDocument, 200).find((d) => recipeFrom(d).recipe))).toBeDefined();
});
