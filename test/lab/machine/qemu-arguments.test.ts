// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import type { MachineSpec } from "../../../src/lab/machine/machine.ts";
import { qemuArguments } from "../../../src/lab/machine/qemu-arguments.ts";
import { expectGolden } from "../../helpers/golden.ts";

const SPEC: MachineSpec = {
  serial: "LAB-0001",
  manufacturer: "prov",
  product: "Lab Server 2",
  directory: "/srv/lab/1",
  diskGiB: 8,
  diskBus: "virtio",
  memoryMiB: 2048,
  cpus: 2,
  drives: 2,
  secureBoot: false,
  network: { mode: "user", hostForward: [{ host: 2222, guest: 22 }] },
  mac: "52:54:00:00:00:07",
  consoleLog: "/srv/lab/1/console.log",
};

const SETUP = {
  firmware: { code: "/fw/code.fd", variables: "/fw/vars.fd" },
  files: { disk: "/srv/lab/1/disk.raw", nvram: "/srv/lab/1/nvram.fd", log: "/srv/lab/1/qemu.log" },
  accelerator: "tcg",
} as const;

/** One option with its value per line. */
const render = (args: readonly string[]) =>
  `${args.join(" ").replaceAll(/ (?=-[a-zA-Z])/g, "\n")}\n`;

test("a machine that boots its first CD drive", async () => {
  const args = qemuArguments({ ...SETUP, spec: SPEC }, { drive: 0 });
  await expectGolden("lab/qemu-cd.txt", render(args));
});

test("KVM, Secure Boot, NVMe, one drive and a tap, from disk", async () => {
  const spec: MachineSpec = {
    ...SPEC,
    drives: 1,
    diskBus: "nvme",
    secureBoot: true,
    network: { mode: "tap", interface: "prov0-t0" },
  };
  const args = qemuArguments({ ...SETUP, spec, accelerator: "kvm" }, "disk");
  await expectGolden("lab/qemu-secure.txt", render(args));
});

test("a comma in a value does not end it", () => {
  const args = qemuArguments({ ...SETUP, spec: { ...SPEC, serial: "A,B" } }, "disk");
  expect(args.filter((a) => a.includes("A,B"))).toEqual([]);
  expect(args.find((a) => a.startsWith("type=1"))).toEndWith("serial=A,,B");
});
