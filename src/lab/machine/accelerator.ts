// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Sleep } from "../../base/deps.ts";
import { seconds } from "../../base/units.ts";
import { type Firmware, findFirmware, prepareFiles } from "./firmware.ts";
import type { Accelerator, MachineSpec } from "./machine.ts";
import { qemuArguments } from "./qemu-arguments.ts";
import { type QemuProcess, startQemu } from "./qemu-process.ts";

/** With hardware support the firmware writes its first line within a second. */
const PATIENCE = seconds(8);

/**
 * KVM where it works, TCG otherwise. `/dev/kvm` alone proves nothing: under some hypervisors it
 * opens, and runs real-mode code, but no operating system. So this boots the firmware and waits
 * for its first output.
 */
export async function probeAccelerator(sleep: Sleep): Promise<Accelerator> {
  const directory = await mkdtemp(join(tmpdir(), "prov-kvm-"));
  try {
    return (await boots("kvm", directory, sleep)) ? "kvm" : "tcg";
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Whether a machine without any disk content gets to its firmware's output. */
export async function boots(
  accelerator: Accelerator,
  directory: string,
  sleep: Sleep,
): Promise<boolean> {
  const firmware: Firmware = findFirmware(false);
  const spec = emptyMachine(directory);
  const files = await prepareFiles(spec, firmware);
  const setup = { spec, firmware, files, accelerator };
  let running: QemuProcess;
  try {
    running = await startQemu({ arguments: qemuArguments(setup, "disk"), log: files.log });
  } catch {
    return false;
  }
  try {
    // QEMU may die of an assertion on the first instruction.
    await running.run().catch(() => undefined);
    return await spoke(running, spec.consoleLog, sleep);
  } finally {
    await running.kill();
  }
}

async function spoke(running: QemuProcess, consoleLog: string, sleep: Sleep): Promise<boolean> {
  let alive = true;
  void running.ended.then(() => {
    alive = false;
  });
  const step = seconds(0.1);
  for (let waited = 0; waited < PATIENCE; waited += step) {
    if (Bun.file(consoleLog).size > 0) return true;
    if (!alive) return false;
    await sleep(step);
  }
  return false;
}

function emptyMachine(directory: string): MachineSpec {
  return {
    serial: "probe",
    manufacturer: "prov",
    product: "lab",
    directory,
    diskGiB: 1,
    diskBus: "virtio",
    memoryMiB: 256,
    cpus: 1,
    drives: 0,
    secureBoot: false,
    network: { mode: "user" },
    mac: "52:54:00:00:00:01",
    consoleLog: join(directory, "console.log"),
  };
}
