// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parseBlkid } from "../../src/plan/parse-blkid.ts";
import { parseEfibootmgr } from "../../src/plan/parse-efibootmgr.ts";
import { parseLsblk } from "../../src/plan/parse-lsblk.ts";
import { parseSfdisk } from "../../src/plan/parse-sfdisk.ts";

const fixture = (name: string) =>
  readFileSync(`${import.meta.dir}/../fixtures/facts/${name}`, "utf8");

describe("parseLsblk()", () => {
  test("reads a virtual machine with two CD drives", () => {
    expect(parseLsblk(fixture("lsblk-qemu.json"))).toMatchObject([
      { path: "/dev/sr0", type: "rom", mountpoints: ["/run/initramfs/live"] },
      { path: "/dev/sr1", type: "rom", mountpoints: [] },
      {
        path: "/dev/vda",
        type: "disk",
        sizeBytes: 8_589_934_592,
        sectorBytes: 512,
        readOnly: false,
        model: null,
        serial: "disk0",
        mountpoints: [],
        holders: [],
      },
    ]);
  });

  test("finds what is mounted on and what holds a disk, through RAID and LVM", () => {
    const array = { path: "/dev/md127", holders: ["/dev/mapper/vg0-swap"] };
    expect(parseLsblk(fixture("lsblk-raid-lvm.json"))).toMatchObject([
      {
        path: "/dev/sda",
        model: "SAMSUNG MZ7L3960HCJR-00A07",
        mountpoints: ["/mnt/old", "[SWAP]"],
        holders: ["/dev/md127", "/dev/mapper/vg0-swap"],
      },
      { ...array, type: "raid1", mountpoints: ["[SWAP]"] },
      { path: "/dev/mapper/vg0-swap", type: "lvm" },
      { path: "/dev/sdb", readOnly: true, holders: ["/dev/md127", "/dev/mapper/vg0-swap"] },
    ]);
  });

  test("reads numbers and flags written as strings", () => {
    expect(parseLsblk(fixture("lsblk-strings.json"))).toMatchObject([
      { sizeBytes: 3_840_755_982_336, sectorBytes: 4096, readOnly: true, model: null },
    ]);
  });

  test.each(["{}x", '{"blockdevices":[1]}', '{"blockdevices":[{"path":"/dev/sda"}]}'])(
    "throws SyntaxError for %s",
    (text) => {
      expect(() => parseLsblk(text)).toThrow(SyntaxError);
    },
  );
});

describe("parseSfdisk()", () => {
  test("reads a GPT", () => {
    expect(parseSfdisk(fixture("sfdisk-gpt.json"))).toEqual({
      label: "gpt",
      guid: "11111111-1111-4111-8111-111111111111",
      partitions: [
        {
          number: 1,
          path: "/dev/vda1",
          startSector: 2048,
          sectors: 1_048_576,
          type: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
          guid: "22222222-2222-4222-8222-222222222222",
          name: "esp",
        },
        {
          number: 2,
          path: "/dev/vda2",
          startSector: 1_050_624,
          sectors: 7_303_168,
          type: "0fc63daf-8483-4772-8e79-3d69d8477de4",
          guid: "33333333-3333-4333-8333-333333333333",
          name: "root",
        },
        {
          number: 3,
          path: "/dev/vda3",
          startSector: 8_353_792,
          sectors: 32_768,
          type: "0fc63daf-8483-4772-8e79-3d69d8477de4",
          guid: "44444444-4444-4444-8444-444444444444",
          name: "cidata",
        },
      ],
    });
  });

  test("reads an MBR", () => {
    expect(parseSfdisk(fixture("sfdisk-dos.json"))).toMatchObject({
      label: "dos",
      guid: null,
      partitions: [{ number: 1, type: "83", guid: null, name: null }],
    });
  });

  test.each(["{}", '{"partitiontable":{"label":"gpt","partitions":[{"node":"/dev/sda"}]}}'])(
    "throws SyntaxError for %s",
    (text) => {
      expect(() => parseSfdisk(text)).toThrow(SyntaxError);
    },
  );
});

describe("parseBlkid()", () => {
  const uuid = (digit: string) => "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx".replaceAll("x", digit);
  test.each([
    { name: "vfat", is: { type: "vfat", uuid: "DEAD-BEEF", label: "MY LABEL" } },
    { name: "ext4", is: { type: "ext4", uuid: uuid("5"), label: "root" } },
    { name: "xfs", is: { type: "xfs", uuid: uuid("6"), label: "data" } },
    { name: "btrfs", is: { type: "btrfs", uuid: uuid("7"), label: "home" } },
    { name: "swap", is: { type: "swap", uuid: uuid("8"), label: "swap" } },
    // Not blank: there may be anything in it.
    { name: "gpt", is: { type: "gpt partition table", uuid: null, label: null } },
  ])("reads $name", ({ name, is }) => {
    expect(parseBlkid(fixture(`blkid-${name}.txt`))).toEqual(is);
  });
});

describe("parseEfibootmgr()", () => {
  test("reads order, labels and device paths", () => {
    expect(parseEfibootmgr(fixture("efibootmgr-17.txt"))).toMatchObject({
      order: ["0002", "0000", "0001"],
      entries: [
        { number: "0000", label: "UiApp", active: true },
        { number: "0001", label: "UEFI QEMU DVD-ROM QM00001" },
        {
          number: "0002",
          label: "debian",
          active: true,
          devicePath:
            "HD(1,GPT,33333333-3333-4333-8333-333333333333,0x800,0x100000)/File(\\EFI\\debian\\shimx64.efi)",
        },
      ],
    });
  });

  test("skips what version 18 prints between the entries", () => {
    expect(parseEfibootmgr(fixture("efibootmgr-18.txt"))).toMatchObject({
      order: ["000A", "0007"],
      entries: [
        { number: "0007", label: "Hard drive C:", active: false },
        { number: "000A", label: "Virtual CD", active: true },
      ],
    });
  });
});
