// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import type { Disk, MachineFacts } from "../../../src/plan/facts.ts";
import { sha256Hex } from "../../../src/plan/hash.ts";
import { type Found, NOTHING_FOUND, UNREADABLE_TREE } from "../../../src/plan/look.ts";
import { UNREADABLE } from "../../../src/plan/parse-blkid.ts";
import { renderPlan } from "../../../src/plan/render.ts";
import { ASSUMED_DEBIAN } from "../../../src/workflows/assumed.ts";
import { bootloaderLinux } from "../../../src/workflows/install-linux/bootloader.ts";
import { configDrive, hostnameFrom } from "../../../src/workflows/install-linux/config-drive.ts";
import { imageLinux } from "../../../src/workflows/install-linux/image.ts";
import { partition } from "../../../src/workflows/install-linux/partition.ts";
import {
  BOOTLOADER_STAMP,
  IMAGE_STAMP,
  stampText,
} from "../../../src/workflows/install-linux/stamp.ts";
import { linuxTarget } from "../../../src/workflows/install-linux/target.ts";
import { readUserData } from "../../../src/workflows/install-linux/user-data.ts";
import type { StepInput } from "../../../src/workflows/workflow.ts";
import { DIGEST, disk, machine, SERIAL, withLayout } from "../../helpers/machines.ts";
import { recipeOf } from "../../helpers/recipes.ts";

const USER_DATA = "#cloud-config\nhostname: web-1\n";
const SEED = {
  task_target: "install-linux.target",
  target_disk: "/dev/sda",
  oci_url: "debian:13",
  user_data: USER_DATA,
  partition_layout: [
    { size: "512M", type_guid: "ef00", format: "vfat" },
    { size: "100%", type_guid: "8300", format: "ext4" },
    { size: "16M", type_guid: "8300", format: "vfat", label: "cidata" },
  ],
};
const JOB = {
  serverSerial: SERIAL,
  bootMedium: "/dev/sr0",
  artifact: { name: "debian:13", digest: DIGEST },
  files: "/run/provision",
};

interface Case {
  readonly recipe?: Record<string, unknown>;
  readonly disk?: Disk;
  readonly machine?: Partial<MachineFacts>;
  readonly job?: Partial<StepInput["job"]>;
}

function input(other: Case = {}): StepInput {
  return {
    recipe: recipeOf({ ...SEED, ...other.recipe }),
    machine: machine([other.disk ?? disk("/dev/sda")], other.machine),
    job: { ...JOB, ...other.job },
  };
}

/** The input once the partition step is done. */
function partitioned(other: Case = {}): StepInput {
  const { layout, disk: blank } = linuxTarget(input(other));
  return input({ ...other, disk: withLayout(blank, layout) });
}

const stamped = (of: StepInput, path: string, other: Partial<Found> = {}): Found => ({
  ...NOTHING_FOUND,
  ...other,
  texts: { ...other.texts, [path]: stampText(linuxTarget(of), of.job) },
});

const FOREIGN: Disk = disk("/dev/sda", {
  table: {
    label: "gpt",
    guid: "11111111-1111-4111-8111-111111111111",
    partitions: [
      {
        number: 1,
        path: "/dev/sda1",
        startSector: 2048,
        sectors: 2048,
        type: "0fc63daf-8483-4772-8e79-3d69d8477de4",
        guid: null,
        name: null,
        signature: { type: "xfs", uuid: null, label: "precious" },
      },
    ],
  },
});
const EMPTY_TABLE = disk("/dev/sda", { table: { label: "gpt", guid: null, partitions: [] } });

describe("planPartition()", () => {
  test.each([
    {
      why: "the machine is another one",
      with: { machine: { serial: "OTHER" } },
      code: "SERVER_MISMATCH",
      message: `Cannot install server "${SERIAL}" here: this machine is "OTHER" (DMI product serial)`,
    },
    {
      why: "the machine has no serial",
      with: { machine: { serial: null } },
      code: "SERVER_MISMATCH",
      message: `Cannot install server "${SERIAL}" here: this machine has no serial (DMI product serial)`,
    },
    {
      why: "there is no such disk",
      with: { disk: disk("/dev/nvme0n1") },
      code: "DISK_MISMATCH",
      message: "Cannot use /dev/sda: this machine has /dev/nvme0n1",
    },
    {
      why: "there is no disk at all",
      with: { disk: disk("/dev/sr0", { type: "rom" }) },
      code: "DISK_MISMATCH",
      message: "Cannot use /dev/sda: this machine has no disks at all",
    },
    {
      why: "it is a loop device",
      with: { disk: disk("/dev/sda", { type: "loop" }) },
      code: "DISK_MISMATCH",
      message: "Cannot use /dev/sda: it is a loop, not a whole disk",
    },
    {
      why: "it is the boot medium",
      with: { job: { bootMedium: "/dev/sda" } },
      code: "DISK_MISMATCH",
      message: "Cannot use /dev/sda: this machine was started from it",
    },
    {
      why: "the boot medium is one of its partitions",
      with: { job: { bootMedium: "/dev/sda2" } },
      code: "DISK_MISMATCH",
      message: "Cannot use /dev/sda: this machine was started from it",
    },
    {
      why: "it is a USB stick under a name that any disk may get",
      with: { disk: disk("/dev/sda", { transport: "usb" }) },
      code: "DISK_MISMATCH",
      message: "Cannot use /dev/sda: it is a USB device",
    },
    {
      why: "wipe is if-empty and nobody can tell what is on it",
      with: {
        disk: disk("/dev/sda", { signature: UNREADABLE }),
        recipe: { wipe: "if-empty" },
      },
      code: "DISK_MISMATCH",
      message: 'Cannot use /dev/sda: wipe is "if-empty" and it has unreadable data on /dev/sda',
    },
    {
      why: "it is read-only",
      with: { disk: disk("/dev/sda", { readOnly: true }) },
      code: "DISK_MISMATCH",
      message: "Cannot use /dev/sda: it is read-only",
    },
    {
      why: "something of it is mounted",
      with: { disk: disk("/dev/sda", { mountpoints: ["/mnt/x", "[SWAP]"] }) },
      code: "DISK_MISMATCH",
      message: "Cannot use /dev/sda: it is in use at /mnt/x, [SWAP]",
    },
    {
      why: "it is part of an array",
      with: { disk: disk("/dev/sda", { holders: ["/dev/md127"] }) },
      code: "DISK_MISMATCH",
      message: "Cannot use /dev/sda: it is in use by /dev/md127",
    },
    {
      why: "it is too small",
      with: { disk: disk("/dev/sda", { sizeBytes: 512 * 1024 ** 2 }) },
      code: "DISK_MISMATCH",
      message: "Cannot fit the partitions on the disk: they need 532 MiB, it has room for 510 MiB",
    },
    {
      why: "wipe is if-empty and it is not",
      with: { disk: FOREIGN, recipe: { wipe: "if-empty" } },
      code: "DISK_MISMATCH",
      message: 'Cannot use /dev/sda: wipe is "if-empty" and it has xfs on /dev/sda1',
    },
    {
      why: "wipe is never and it is not blank",
      with: { disk: EMPTY_TABLE, recipe: { wipe: "never" } },
      code: "DISK_MISMATCH",
      message: 'Cannot use /dev/sda: wipe is "never" and it has a partition table',
    },
    {
      why: "wipe is if-empty and the whole disk is a file system",
      with: {
        disk: disk("/dev/sda", { signature: { type: "ext4", uuid: null, label: null } }),
        recipe: { wipe: "if-empty" },
      },
      code: "DISK_MISMATCH",
      message: 'Cannot use /dev/sda: wipe is "if-empty" and it has ext4 on /dev/sda',
    },
  ])("refuses when $why, before anything is planned (R36)", (row) => {
    const plan = () => partition.plan(input(row.with), NOTHING_FOUND);
    expect(plan).toThrow(expect.objectContaining({ code: row.code, message: row.message }));
  });

  test.each([
    { why: "the disk is blank", with: {} },
    { why: "there is foreign data and wipe is always", with: { disk: FOREIGN } },
    { why: "the table is empty", with: { disk: EMPTY_TABLE, recipe: { wipe: "if-empty" } } },
    { why: "the disk is blank and wipe is never", with: { recipe: { wipe: "never" } } },
  ])("makes everything anew when $why", (row) => {
    const { actions } = partition.plan(input(row.with), NOTHING_FOUND);
    expect(actions).toHaveLength(12);
    const destroys = actions.flatMap((a) => (a.kind === "run" ? (a.destroys ?? []) : []));
    expect(destroys.every((device) => device.startsWith("/dev/sda"))).toBe(true);
  });

  test.each(["always", "if-empty", "never"])(
    "plans nothing when this image is in this layout and wipe is %s (R38)",
    (wipe) => {
      const done = partitioned({ recipe: { wipe } });
      expect(partition.plan(done, stamped(done, IMAGE_STAMP)).actions).toEqual([]);
    },
  );

  test("makes everything anew for another digest, layout, or an unknown digest (R38)", () => {
    const done = partitioned();
    const found = stamped(done, IMAGE_STAMP);
    const other = { ...JOB.artifact, digest: `sha256:${"00".repeat(32)}` };
    const unknown = { ...JOB.artifact, digest: null };
    const taller = {
      partition_layout: [
        { ...SEED.partition_layout[0], size: "1G" },
        ...SEED.partition_layout.slice(1),
      ],
    };
    const cases = [
      { ...done, job: { ...JOB, artifact: other } },
      { ...done, job: { ...JOB, artifact: unknown } },
      { ...done, recipe: recipeOf({ ...SEED, ...taller }) },
    ];
    for (const each of cases) {
      expect(partition.plan(each, found).actions.length).toBeGreaterThan(0);
      const careful = { ...each, recipe: { ...each.recipe, wipe: "if-empty" as const } };
      expect(() => partition.plan(careful, found)).toThrow("Cannot use /dev/sda");
    }
  });

  test("takes a USB disk that the recipe names by its id (R36)", () => {
    const id = "/dev/disk/by-id/usb-Some_SSD";
    const stick = disk("/dev/sda", { transport: "usb", symlinks: [id] });
    const plan = partition.plan(input({ disk: stick, recipe: { target_disk: id } }), NOTHING_FOUND);
    expect(plan.actions).toHaveLength(12);
  });

  test("gives two disks of one server nothing in common (R36)", () => {
    const uuids = (other: Partial<Disk>, path = "/dev/sda") => {
      const { layout } = linuxTarget(
        input({ disk: disk(path, other), recipe: { target_disk: path } }),
      );
      const fromPartitions = layout.partitions.flatMap((p) => [p.guid, p.filesystemUuid]);
      return [layout.diskGuid, ...fromPartitions];
    };
    const all = [
      ...uuids({ serial: "A" }),
      ...uuids({ serial: "B" }),
      ...uuids({}),
      ...uuids({}, "/dev/sdb"),
    ];
    expect(new Set(all).size).toBe(all.length);
    expect(uuids({ serial: "A" }, "/dev/sdb")).toEqual(uuids({ serial: "A" }));
  });

  test("leaves partitions alone that the kernel did not accept", () => {
    const [known] = FOREIGN.table?.partitions ?? [];
    if (known === undefined) throw new Error("the fixture has no partition");
    const beyond = { ...known, number: 2, path: "/dev/sda2", signature: null };
    const table = { label: "gpt" as const, guid: null, partitions: [known, beyond] };
    const plan = partition.plan(input({ disk: disk("/dev/sda", { table }) }), NOTHING_FOUND);
    expect(renderPlan(plan)).toContain("wipefs --all --force /dev/sda1 /dev/sda\n");
  });

  test("starts over after an attempt that left no image, whatever wipe says", () => {
    const half = partitioned({ recipe: { wipe: "never" } });
    expect(partition.plan(half, NOTHING_FOUND).actions.length).toBeGreaterThan(0);
  });

  test("does not take a root that cannot be mounted for an unfinished one (R36)", () => {
    const careful = partitioned({ recipe: { wipe: "if-empty" } });
    expect(() => partition.plan(careful, UNREADABLE_TREE)).toThrow(
      expect.objectContaining({ code: "DISK_MISMATCH" }),
    );
    expect(partition.plan(partitioned(), UNREADABLE_TREE).actions).not.toEqual([]);
  });

  test("looks into the root only when the layout is there, and read-only (R38)", () => {
    expect(partition.reach(input()).actions).toEqual([]);
    expect(partition.leave(input()).actions).toEqual([]);
    expect(renderPlan(partition.reach(partitioned()))).toContain("--options=ro,noload /dev/sda2");
    expect(renderPlan(partition.leave(partitioned()))).toContain("umount --recursive /mnt/target");
  });

  test("shows the partitions of a multipath device with kpartx", () => {
    const path = "/dev/mapper/mpatha";
    const found = partition.plan(
      input({ recipe: { target_disk: path }, disk: disk(path, { type: "mpath" }) }),
      NOTHING_FOUND,
    );
    expect(renderPlan(found)).toContain("kpartx -u -s -p -part /dev/mapper/mpatha");
    expect(renderPlan(found)).toContain("/dev/mapper/mpatha-part2");
  });
});

describe("a stamp", () => {
  const separate = {
    partition_layout: [
      { size: "512M", type_guid: "ef00", format: "vfat" },
      { size: "8G", type_guid: "8300", format: "ext4", mountpoint: "/" },
      { size: "8G", type_guid: "8300", format: "xfs", mountpoint: "/var" },
    ],
  };
  const of = partitioned({ recipe: separate });
  test.each([
    {
      step: imageLinux,
      found: NOTHING_FOUND,
      stamp: IMAGE_STAMP,
      synced: "/mnt/target /mnt/target/var",
    },
    {
      step: bootloaderLinux,
      found: ASSUMED_DEBIAN,
      stamp: BOOTLOADER_STAMP,
      synced: "/mnt/target /mnt/target/var /mnt/target/boot/efi",
    },
  ])("of $step.name is written once every file system is on the disk (R38)", (row) => {
    const { actions } = row.step.plan(of, row.found);
    const stampAt = actions.findIndex((a) => a.kind === "write" && a.path.endsWith(row.stamp));
    expect(renderPlan({ step: "", actions: actions.slice(stampAt - 1, stampAt) })).toContain(
      `sync --file-system ${row.synced}\n`,
    );
    const after = actions.slice(stampAt + 1).flatMap((a) => (a.kind === "run" ? [a.argv[0]] : []));
    expect(after.slice(0, 1)).toEqual(["umount"]);
    expect(after.slice(1).every((program) => program === "efibootmgr")).toBe(true);
  });
});

describe("planImage()", () => {
  test("plans nothing when the image is there (R38)", () => {
    const done = partitioned();
    const found = stamped(done, IMAGE_STAMP, { paths: ["etc", "usr"] });
    expect(imageLinux.plan(done, found).actions).toEqual([]);
  });

  test("refuses a disk that the partition step has not prepared", () => {
    expect(() => imageLinux.plan(input(), NOTHING_FOUND)).toThrow(
      expect.objectContaining({ code: "PLAN_IMPOSSIBLE" }),
    );
  });

  test("refuses to lay one image over another", () => {
    const found = { ...NOTHING_FOUND, paths: ["lost+found", "etc", "usr"] };
    expect(() => imageLinux.plan(partitioned(), found)).toThrow(
      "Cannot unpack the image: the root has etc, usr in it",
    );
  });

  test("refuses a job without an artifact", () => {
    expect(() => imageLinux.plan(partitioned({ job: { artifact: null } }), NOTHING_FOUND)).toThrow(
      "the job names no artifact",
    );
  });
});

describe("planBootloader()", () => {
  const entryOf = (of: StepInput) => ({
    number: "0003",
    label: "debian",
    active: true,
    devicePath: `HD(1,GPT,${linuxTarget(of).esp.guid.toUpperCase()},0x800,0x100000)/File(…)`,
  });
  const withEntry = (of: StepInput) => {
    const boot = { order: ["0003"], entries: [entryOf(of)] };
    return { ...of, machine: { ...of.machine, uefi: { secureBoot: true, boot } } };
  };

  test("plans nothing when it is installed and the firmware knows (R38)", () => {
    const done = withEntry(partitioned());
    const found = stamped(done, BOOTLOADER_STAMP, ASSUMED_DEBIAN);
    expect(bootloaderLinux.plan(done, found).actions).toEqual([]);
  });

  test("is planned again when the firmware has forgotten its entry", () => {
    const done = partitioned();
    const found = stamped(done, BOOTLOADER_STAMP, ASSUMED_DEBIAN);
    expect(bootloaderLinux.plan(done, found).actions.length).toBeGreaterThan(0);
  });

  test("replaces its own entry instead of adding one", () => {
    const text = renderPlan(bootloaderLinux.plan(withEntry(partitioned()), ASSUMED_DEBIAN));
    expect(text).toContain("efibootmgr --quiet --bootnum 0003 --delete-bootnum");
  });

  test("keeps the entry of the same name that starts from another disk", () => {
    const of = partitioned();
    const other = "0b0b0b0b-0000-4000-8000-000000000001";
    const [part] = FOREIGN.table?.partitions ?? [];
    if (part === undefined) throw new Error("the fixture has no partition");
    const table = { label: "gpt" as const, guid: null, partitions: [{ ...part, guid: other }] };
    const entry = (number: string, guid: string) => ({
      number,
      label: "debian",
      active: true,
      devicePath: `HD(1,GPT,${guid},0x800,0x100000)/File(…)`,
    });
    const entries = [entry("0001", other), entry("0002", "dead0000-0000-4000-8000-000000000000")];
    const text = renderPlan(
      bootloaderLinux.plan(
        {
          ...of,
          machine: {
            ...of.machine,
            disks: [...of.machine.disks, disk("/dev/sdb", { table })],
            uefi: { secureBoot: true, boot: { order: [], entries } },
          },
        },
        ASSUMED_DEBIAN,
      ),
    );
    expect(text).not.toContain("--bootnum 0001");
    expect(text).toContain("--bootnum 0002 --delete-bootnum");
  });

  test("goes by the removable path alone when entries cannot be read", () => {
    const uefi = { secureBoot: true, boot: null };
    const text = renderPlan(
      bootloaderLinux.plan(partitioned({ machine: { uefi } }), ASSUMED_DEBIAN),
    );
    expect(text).not.toContain("efibootmgr");
    expect(text).toContain("--force-extra-removable");
  });

  const without = (pattern: RegExp): Found => ({
    ...ASSUMED_DEBIAN,
    paths: ASSUMED_DEBIAN.paths.filter((path) => !pattern.test(path)),
  });
  const release = (text: string): Found => ({
    ...ASSUMED_DEBIAN,
    texts: { "usr/lib/os-release": text },
  });
  const image = "Cannot install a boot loader into this image:";
  test.each([
    {
      why: "there is no os-release",
      found: NOTHING_FOUND,
      message: `${image} it has no os-release`,
    },
    {
      why: "the distribution is of no family it knows",
      found: release("ID=alpine\n"),
      message: `${image} alpine is neither of the Debian nor of the Fedora family`,
    },
    {
      why: "there is no grub-install",
      found: without(/grub-install/),
      message: `${image} it has no /usr/sbin/grub-install`,
    },
    {
      why: "there is no kernel",
      found: without(/vmlinuz/),
      message: `${image} it has no kernel in /boot`,
    },
    {
      why: "Secure Boot is on and nothing is signed",
      found: without(/signed/),
      message: `${image} Secure Boot is on and it has no signed boot loader`,
    },
    {
      why: "there is neither an initramfs nor a way to make one",
      found: without(/initr/),
      message: `${image} kernel 6.12.0-amd64 has no initramfs`,
    },
    {
      why: "a Fedora has no shim",
      found: release('ID="fedora"\n'),
      message: `${image} it has no shimx64.efi`,
    },
  ])("refuses an image when $why (R40)", ({ found, message }) => {
    expect(() => bootloaderLinux.plan(partitioned(), found)).toThrow(
      expect.objectContaining({ code: "PLAN_IMPOSSIBLE", message }),
    );
  });

  test("refuses a machine in BIOS mode", () => {
    expect(() =>
      bootloaderLinux.plan(partitioned({ machine: { uefi: null } }), ASSUMED_DEBIAN),
    ).toThrow("this machine was started in BIOS mode");
  });

  test.each([
    { os: "ID=ubuntu\nID_LIKE=debian\n", id: "ubuntu" },
    { os: 'ID=linuxmint\nID_LIKE="ubuntu debian"\n', id: "ubuntu" },
    { os: "ID=devuan\nID_LIKE=debian\n", id: "debian" },
  ])("uses the directory of the signed boot loader: $id for $os", ({ os, id }) => {
    const text = renderPlan(bootloaderLinux.plan(partitioned(), release(os)));
    expect(text).toContain(`--bootloader-id=${id}`);
    expect(text.includes("--force-extra-removable")).toBe(id === "debian");
    expect(text).toContain(`'\\EFI\\${id}\\shimx64.efi'`);
  });

  test("names what an arm64 machine starts", () => {
    const found: Found = {
      ...ASSUMED_DEBIAN,
      paths: [
        ...without(/signed/).paths,
        "usr/lib/grub/arm64-efi-signed/grubaa64.efi.signed",
        "usr/lib/shim/shimaa64.efi.signed",
      ],
    };
    const text = renderPlan(
      bootloaderLinux.plan(partitioned({ machine: { architecture: "arm64" } }), found),
    );
    expect(text).toContain("--target=arm64-efi");
    expect(text).toContain("shimaa64.efi");
  });
});

describe("planConfigDrive()", () => {
  const hashes = (of: StepInput): Record<string, string> => {
    const written = configDrive
      .plan(of, NOTHING_FOUND)
      .actions.flatMap((a) =>
        a.kind === "write" ? [[a.path.replace(/^\/mnt\/[^/]+\//, ""), sha256Hex(a.text)]] : [],
      );
    return Object.fromEntries(written);
  };

  test("plans nothing when the drive holds just that (R38)", () => {
    const done = partitioned();
    const found = {
      ...NOTHING_FOUND,
      sha256: { ...hashes(done), "user-data": sha256Hex(USER_DATA) },
    };
    expect(configDrive.plan(done, found).actions).toEqual([]);
    const other = { ...found, sha256: { ...found.sha256, "user-data": sha256Hex("other") } };
    expect(configDrive.plan(done, other).actions.length).toBeGreaterThan(0);
    expect(configDrive.look(done).hash).toEqual(["meta-data", "user-data"]);
  });

  test("decodes base64 on the way", () => {
    const encoded = partitioned({ recipe: { user_data: btoa(USER_DATA) } });
    const copies = configDrive
      .plan(encoded, NOTHING_FOUND)
      .actions.filter((a) => a.kind === "copy");
    expect(copies).toMatchObject([{ from: "/run/provision/user-data", decode: "base64" }]);
  });

  test("gives an empty drive what cloud-init needs to accept it", () => {
    const { user_data: _, ...recipe } = SEED;
    const bare = { ...partitioned(), recipe: recipeOf(recipe) };
    const text = renderPlan(configDrive.plan(bare, NOTHING_FOUND));
    expect(text).toContain("#cloud-config\n{}\n");
    expect(text).toContain("local-hostname: xf-12345abc");
  });

  test("has nothing to do without a drive and user data", () => {
    const { user_data: _, ...recipe } = SEED;
    const layout = SEED.partition_layout.slice(0, 2);
    const plain = input({ recipe: { partition_layout: layout } });
    const { layout: computed, disk: blank } = linuxTarget(plain);
    const bare = {
      ...input({ disk: withLayout(blank, computed) }),
      recipe: recipeOf({ ...recipe, partition_layout: layout }),
    };
    expect(configDrive.plan(bare, NOTHING_FOUND).actions).toEqual([]);
    expect(configDrive.reach(bare).actions).toEqual([]);
    expect(configDrive.leave(bare).actions).toEqual([]);
  });
});

describe("readUserData()", () => {
  const script = "#!/bin/sh\necho hi\n";
  test.each([
    { what: "a script", text: script, encoding: "none", of: script },
    { what: "cloud-config", text: USER_DATA, encoding: "none", of: USER_DATA },
    { what: "base64 of a script", text: btoa(script), encoding: "base64", of: script },
    {
      what: "base64 in lines",
      text: btoa(script).replace(/(.{10})/g, "$1\n"),
      encoding: "base64",
      of: script,
    },
    { what: "base64 of something else", text: btoa("hello"), encoding: "none", of: btoa("hello") },
    {
      what: "a cut example",
      text: "IyEvYmluL2Jhc2gK...",
      encoding: "none",
      of: "IyEvYmluL2Jhc2gK...",
    },
  ] as const)("takes $what as $encoding", ({ text, encoding, of }) => {
    expect(readUserData(text)).toEqual({ encoding, sha256: sha256Hex(of) });
  });
});

test.each([
  { serial: "XF-12345ABC", name: "xf-12345abc" },
  { serial: "VMware-56 4d 1b", name: "vmware-56-4d-1b" },
  { serial: "..", name: "server" },
  { serial: `${"x".repeat(62)}-y`, name: "x".repeat(62) },
])("the serial $serial makes the host name $name", ({ serial, name }) => {
  expect(hostnameFrom(serial)).toBe(name);
});
