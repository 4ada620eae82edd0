// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFirmware, prepareFiles } from "../../../src/lab/machine/firmware.ts";
import type { MachineSpec } from "../../../src/lab/machine/machine.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "prov-firmware-"));
});
afterEach(() => rm(directory, { recursive: true }));

test("firmware is where the distribution puts it", () => {
  expect(findFirmware(false, (path) => path.startsWith("/usr/share/OVMF")).code).toContain("OVMF");
  expect(findFirmware(true, (path) => path.includes("edk2")).code).toEndWith("secboot.fd");
  expect(() => findFirmware(false, () => false)).toThrow("Cannot find UEFI firmware");
});

test("disk and NVRAM are made once and then kept; a firmware of another layout starts afresh", async () => {
  const spec: MachineSpec = {
    serial: "S1",
    manufacturer: "prov",
    product: "lab",
    directory: join(directory, "server"),
    diskGiB: 3,
    diskBus: "virtio",
    memoryMiB: 512,
    cpus: 1,
    drives: 2,
    secureBoot: false,
    network: { mode: "user" },
    mac: "52:54:00:00:00:01",
    consoleLog: join(directory, "console.log"),
  };
  const variables = join(directory, "vars.fd");
  const firmware = { code: "/unused", variables };
  await Bun.write(variables, "AAAA");
  const files = await prepareFiles(spec, firmware);
  const disk = await stat(files.disk);
  expect([disk.size, disk.blocks]).toEqual([3 * 2 ** 30, 0]);
  await Bun.write(files.nvram, "BBBB");
  await prepareFiles(spec, firmware);
  expect(await Bun.file(files.nvram).text()).toBe("BBBB");
  await Bun.write(variables, "CCCCCC");
  await prepareFiles(spec, firmware);
  expect(await Bun.file(files.nvram).text()).toBe("CCCCCC");
});
