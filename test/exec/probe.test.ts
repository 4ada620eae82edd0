// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProvError } from "../../src/base/errors.ts";
import { probeMachine } from "../../src/exec/probe.ts";
import type { CommandRunner } from "../../src/exec/runner.ts";
import { diskAt } from "../../src/plan/facts.ts";
import { FakeRunner } from "../helpers/fake-runner.ts";

const fixture = (name: string) =>
  readFileSync(`${import.meta.dir}/../fixtures/facts/${name}`, "utf8");

const DIRECTORY = mkdtempSync(join(tmpdir(), "prov-probe-"));
afterAll(() => rmSync(DIRECTORY, { recursive: true }));

/** The machine of lsblk-qemu.json with a GPT that has an ESP and an ext4 root. */
function programs(command: string) {
  if (command.startsWith("lsblk ")) return { stdout: fixture("lsblk-qemu.json") };
  if (command === "sfdisk --json /dev/vda") return { stdout: fixture("sfdisk-gpt.json") };
  if (command === "efibootmgr --verbose") return { stdout: fixture("efibootmgr-17.txt") };
  if (command.endsWith("/dev/vda1")) return { stdout: fixture("blkid-vfat.txt") };
  if (command.endsWith("/dev/vda2")) return { stdout: fixture("blkid-ext4.txt") };
  if (command.endsWith("/dev/vda3")) return { exitCode: 8, stderr: "ambivalent result" };
  return { exitCode: 1, stderr: "unexpected" };
}

function tree(name: string, uefi: boolean) {
  const sys = join(DIRECTORY, name, "sys");
  mkdirSync(join(sys, "class/dmi/id"), { recursive: true });
  writeFileSync(join(sys, "class/dmi/id/product_serial"), "XF-12345ABC\n");
  const variables = join(sys, "firmware/efi/efivars");
  if (uefi) {
    mkdirSync(variables, { recursive: true });
    const secureBoot = join(variables, "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
    writeFileSync(secureBoot, new Uint8Array([6, 0, 0, 0, 1]));
  }
  return { sys, dev: join(DIRECTORY, name, "dev") };
}

describe("probeMachine()", () => {
  test("brings together what the programs say", async () => {
    const paths = tree("uefi", true);
    const runner = new FakeRunner(programs);
    const facts = await probeMachine({ runner, bootEntries: true, ...paths });
    expect(facts).toMatchObject({
      serial: "XF-12345ABC",
      uefi: { secureBoot: true, boot: { order: ["0002", "0000", "0001"] } },
    });
    const disk = diskAt(facts, "/dev/vda");
    expect(disk?.table?.partitions.map((p) => p.signature?.type)).toEqual([
      "vfat",
      "ext4",
      "ambiguous",
    ]);
    // CD drives are not read: over a BMC that takes time.
    expect(runner.calls.filter((c) => c.includes("/dev/sr"))).toEqual([]);
  });

  test("finds a disk by its other names", async () => {
    const { sys, dev } = tree("links", true);
    mkdirSync(join(dev, "disk/by-id"), { recursive: true });
    const node = join(dev, "vda");
    writeFileSync(node, "");
    symlinkSync("../../vda", join(dev, "disk/by-id/virtio-disk0"));
    const listing = fixture("lsblk-qemu.json").replaceAll('"/dev/vda"', JSON.stringify(node));
    const runner = new FakeRunner((command) =>
      command.startsWith("lsblk ")
        ? { stdout: listing }
        : command.startsWith("blkid")
          ? { exitCode: 2 }
          : { exitCode: 1, stderr: "sfdisk: does not contain a recognized partition table" },
    );
    const facts = await probeMachine({ runner, bootEntries: false, sys, dev });
    expect(diskAt(facts, join(dev, "disk/by-id/virtio-disk0"))).toMatchObject({
      path: node,
      table: null,
      signature: null,
    });
    expect(facts.uefi?.boot).toBeNull();
  });

  test("takes a disk that cannot be read for anything but blank (R36)", async () => {
    const runner = new FakeRunner((command) => {
      if (command.startsWith("sfdisk")) return { exitCode: 1, stderr: "Input/output error" };
      return command.startsWith("blkid") ? { exitCode: 2 } : programs(command);
    });
    const facts = await probeMachine({ runner, bootEntries: false, ...tree("broken", true) });
    expect(diskAt(facts, "/dev/vda")).toMatchObject({
      table: null,
      signature: { type: "unreadable data" },
    });
  });

  test("goes on when a disk does not answer in time", async () => {
    const fake = new FakeRunner(programs);
    const runner: CommandRunner = {
      run: (argv, options) =>
        argv.join(" ") === "blkid --probe --output export /dev/vda2"
          ? Promise.reject(new ProvError("Command was killed", { code: "COMMAND_TIMED_OUT" }))
          : fake.run(argv, options),
    };
    const facts = await probeMachine({ runner, bootEntries: false, ...tree("dying", true) });
    expect(diskAt(facts, "/dev/vda")).toMatchObject({
      table: null,
      signature: { type: "unreadable data" },
    });
  });

  test("tells BIOS from UEFI", async () => {
    const facts = await probeMachine({
      runner: new FakeRunner(programs),
      bootEntries: true,
      ...tree("bios", false),
    });
    expect(facts.uefi).toBeNull();
  });

  test("goes on without boot entries that the firmware does not offer, and not past a failure", async () => {
    const paths = tree("no-variables", true);
    const answer = (stderr: string) =>
      new FakeRunner((c) => (c.startsWith("efibootmgr") ? { exitCode: 2, stderr } : programs(c)));
    const runner = answer("EFI variables are not supported on this system.");
    expect((await probeMachine({ runner, bootEntries: true, ...paths })).uefi?.boot).toBeNull();
    await expect(
      probeMachine({ runner: answer("Input/output error"), bootEntries: true, ...paths }),
    ).rejects.toMatchObject({ code: "COMMAND_FAILED" });
  });
});
