// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { isObject } from "../../src/base/json.ts";
import type { MachineFacts } from "../../src/plan/facts.ts";
import type { Found } from "../../src/plan/look.ts";
import { recipeFrom } from "../../src/recipe/parse.ts";
import type { Recipe } from "../../src/recipe/recipe.ts";
import { ASSUMED_DEBIAN } from "../../src/workflows/assumed.ts";
import { installLinux } from "../../src/workflows/install-linux/workflow.ts";
import { planRecipe, renderPlannedRecipe } from "../../src/workflows/plan-recipe.ts";
import { expectGolden } from "../helpers/golden.ts";
import { DIGEST, disk, machine, SERIAL } from "../helpers/machines.ts";
import { linuxDocument, recipeOf } from "../helpers/recipes.ts";

const valid = (name: string): Record<string, unknown> => {
  const file = `${import.meta.dir}/../fixtures/recipes/valid/${name}.json`;
  const document: unknown = JSON.parse(readFileSync(file, "utf8"));
  if (!isObject(document)) throw new Error(`${name} is no recipe`);
  return { ...document };
};

const JOB = {
  serverSerial: SERIAL,
  bootMedium: "/dev/sr0",
  artifact: { name: "os-images/debian:13", digest: DIGEST },
  files: "/run/provision",
};

function plan(recipe: Recipe, facts: MachineFacts | null, found: Record<string, Found> = {}) {
  return planRecipe({ workflow: installLinux, recipe, job: JOB, machine: facts, found });
}

/** Fedora 42 as a root file system made with dnf --installroot: kernel not yet in /boot, SELinux on. */
const FEDORA: Found = {
  paths: [
    "boot/efi/EFI/BOOT/BOOTX64.EFI",
    "boot/efi/EFI/BOOT/fbx64.efi",
    "boot/efi/EFI/fedora/grubx64.efi",
    "boot/efi/EFI/fedora/shimx64.efi",
    "usr/bin/grub2-mkconfig",
    "usr/bin/kernel-install",
    "usr/lib/modules/6.14.0-63.fc42.x86_64/vmlinuz",
  ],
  texts: {
    "etc/os-release": 'NAME="Fedora Linux"\nID=fedora\nPRETTY_NAME="Fedora Linux 42 (Server)"\n',
    "etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=targeted\n",
    "etc/kernel/cmdline": "root=UUID=0b1c2d3e-build-host ro rhgb quiet\n",
  },
  sha256: {},
};

/** Rocky 9 with its kernel installed by scriptlets on another machine, and no EFI/BOOT. */
const ROCKY: Found = {
  paths: [
    "boot/efi/EFI/rocky/grubx64.efi",
    "boot/efi/EFI/rocky/shimx64.efi",
    "boot/initramfs-5.14.0-503.el9.x86_64.img",
    "boot/vmlinuz-0-rescue-1234567890abcdef",
    "boot/vmlinuz-5.14.0-503.el9.x86_64",
    "usr/bin/kernel-install",
    "usr/lib/modules/5.14.0-503.el9.x86_64/vmlinuz",
    "usr/sbin/grub2-mkconfig",
  ],
  texts: {
    "etc/os-release": 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\n',
    "boot/loader/entries/1234-5.14.0-503.el9.x86_64.conf":
      "title Rocky Linux (5.14.0-503.el9.x86_64) 9.5\nversion 5.14.0-503.el9.x86_64\nlinux /boot/vmlinuz-5.14.0-503.el9.x86_64\ninitrd /boot/initramfs-5.14.0-503.el9.x86_64.img\noptions root=/dev/mapper/rl-root ro resume=/dev/mapper/rl-swap console=ttyS0,115200\ngrub_class rocky\n",
  },
  sha256: {},
};

const SEED = valid("source-guide-example");
const BY_ID = "/dev/disk/by-id/nvme-Samsung_SSD_980_S64ANX0R12345";

describe("planRecipe()", () => {
  test.each([
    { name: "sda", target: "/dev/sda", facts: machine([disk("/dev/sda")]) },
    {
      name: "vda",
      target: "/dev/vda",
      facts: machine([disk("/dev/sr0", { type: "rom" }), disk("/dev/vda")]),
    },
    {
      name: "nvme-4k",
      target: "/dev/nvme0n1",
      facts: machine([disk("/dev/nvme0n1", { sectorBytes: 4096, serial: "S64ANX0R12345" })]),
    },
    {
      name: "by-id",
      target: BY_ID,
      facts: machine([disk("/dev/nvme0n1"), disk("/dev/nvme1n1", { symlinks: [BY_ID] })]),
    },
    { name: "assumed", target: "/dev/sda", facts: null },
    { name: "assumed-by-id", target: BY_ID, facts: null },
  ])("plans the source design's layout on $name (R37, R40)", async ({ name, target, facts }) => {
    const recipe = recipeOf({ ...SEED, target_disk: target });
    await expectGolden(`workflows/seed.${name}.txt`, renderPlannedRecipe(plan(recipe, facts)));
  });

  test("plans swap, xfs, btrfs and several mount points (R37)", async () => {
    const recipe = recipeOf(valid("linux-swap-home"));
    const planned = plan(recipe, machine([disk("/dev/nvme0n1")]));
    await expectGolden("workflows/swap-home.txt", renderPlannedRecipe(planned));
  });

  test("puts user data into the root when there is no config drive", async () => {
    const recipe = recipeOf(valid("source-api-example"));
    const planned = plan(recipe, machine([disk("/dev/sda")]));
    await expectGolden("workflows/no-config-drive.txt", renderPlannedRecipe(planned));
  });

  test.each([
    { name: "fedora", found: FEDORA, document: SEED },
    {
      name: "rocky-with-boot",
      found: ROCKY,
      document: {
        ...SEED,
        partition_layout: [
          { size: "600M", type_guid: "ef00", format: "vfat" },
          { size: "1G", type_guid: "8300", format: "xfs", mountpoint: "/boot" },
          { size: "100%", type_guid: "8300", format: "xfs" },
        ],
      },
    },
  ])("plans the boot loader of a $name root (R40)", async ({ name, found, document }) => {
    const planned = plan(recipeOf(document), machine([disk("/dev/sda")]), {
      "bootloader-linux": found,
    });
    const only = { assumptions: [], plans: planned.plans.slice(2, 3) };
    await expectGolden(`workflows/bootloader.${name}.txt`, renderPlannedRecipe(only));
  });

  test("plans a rebuild over what another system left, and replaces its boot entry", async () => {
    const old = {
      label: "gpt",
      guid: "11111111-1111-4111-8111-111111111111",
      partitions: [1, 2].map((number) => ({
        number,
        path: `/dev/sda${number}`,
        startSector: number * 2048,
        sectors: 2048,
        type: "0fc63daf-8483-4772-8e79-3d69d8477de4",
        guid: null,
        name: null,
        signature: { type: "ext4", uuid: null, label: null },
      })),
    } as const;
    const entry = { number: "0004", label: "debian", active: true, devicePath: "HD(1,GPT,…)" };
    const facts = machine([disk("/dev/sda", { table: old, serial: "S662NN0T500001" })], {
      uefi: { secureBoot: false, boot: { order: ["0004"], entries: [entry] } },
    });
    const unsigned = {
      ...ASSUMED_DEBIAN,
      paths: ASSUMED_DEBIAN.paths.filter((p) => !p.includes("signed") && !p.includes("initrd")),
    };
    const planned = plan(recipeOf(SEED), facts, { "bootloader-linux": unsigned });
    await expectGolden("workflows/rebuild.txt", renderPlannedRecipe(planned));
  });

  test("plans whatever the schema accepts, given a big enough disk (R16)", () => {
    let planned = 0;
    fc.assert(
      fc.property(linuxDocument, (document) => {
        const { recipe } = recipeFrom(document);
        fc.pre(recipe !== undefined);
        if (recipe === undefined) return;
        planned++;
        const huge = disk(recipe.targetDisk ?? "", { sizeBytes: 1024 ** 5 });
        const { plans } = plan(recipe, machine([huge]));
        expect(plans.map((p) => p.step)).toEqual(installLinux.steps.map((step) => step.name));
      }),
    );
    expect(planned).toBeGreaterThan(50);
  });

  test("shows no secret (R53)", () => {
    const recipe = recipeOf({ ...SEED, user_data: "#cloud-config\npassword: hunter2\n" });
    expect(renderPlannedRecipe(plan(recipe, null))).not.toContain("hunter2");
    expect(JSON.stringify(plan(recipe, null))).not.toContain("hunter2");
  });
});
