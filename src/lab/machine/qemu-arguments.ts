// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Firmware, MachineFiles } from "./firmware.ts";
import type { Accelerator, BootChoice, MachineSpec } from "./machine.ts";

export interface QemuSetup {
  readonly spec: MachineSpec;
  readonly firmware: Firmware;
  readonly files: MachineFiles;
  readonly accelerator: Accelerator;
}

/** The id of a CD drive's device, as QMP commands name it. */
export const driveId = (drive: number): string => `cd${drive}`;

/**
 * The command line of one power-on. QEMU starts paused, so that media can be put into the trays by
 * QMP (on stdin and stdout) before the first instruction, and ends when the guest resets, so that
 * every boot is a new process with its own boot order: OVMF reads `bootindex`, not `-boot once=`,
 * and drops devices without one, which is why the disk always has it.
 */
export function qemuArguments(setup: QemuSetup, boot: BootChoice): readonly string[] {
  const { spec, firmware, files, accelerator } = setup;
  return [
    ...["-name", option(spec.serial)],
    ...platform(accelerator, spec.secureBoot),
    ...["-smp", String(spec.cpus), "-m", `${spec.memoryMiB}M`],
    ...["-nodefaults", "-no-user-config", "-display", "none"],
    ...["-S", "-qmp", "stdio", "-action", "reboot=shutdown"],
    ...["-drive", `if=pflash,unit=0,format=raw,readonly=on,file=${option(firmware.code)}`],
    ...["-drive", `if=pflash,unit=1,format=raw,file=${option(files.nvram)}`],
    ...["-smbios", identity(spec)],
    ...["-chardev", `file,id=console,append=on,path=${option(spec.consoleLog)}`],
    ...["-serial", "chardev:console"],
    ...["-device", "virtio-rng-pci"],
    ...disk(spec, files),
    ...Array.from({ length: spec.drives }, (_, drive) => tray(drive, boot)).flat(),
    ...network(spec),
  ];
}

/**
 * TCG: `max`, since QEMU's default CPU lacks SSE4.2, which Bun needs; a large translation cache,
 * since a kernel's boot overflows the default one.
 */
function platform(accelerator: Accelerator, secureBoot: boolean): readonly string[] {
  const machine = ["-machine", `q35,smm=${secureBoot ? "on" : "off"},vmport=off`];
  const cpu =
    accelerator === "kvm"
      ? ["-accel", "kvm", "-cpu", "host"]
      : ["-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "max"];
  const flash = ["-global", "driver=cfi.pflash01,property=secure,value=on"];
  return [...machine, ...cpu, ...(secureBoot ? flash : [])];
}

function identity(spec: MachineSpec): string {
  const fields = [
    "type=1",
    `manufacturer=${option(spec.manufacturer)}`,
    `product=${option(spec.product)}`,
    `serial=${option(spec.serial)}`,
  ];
  return fields.join(",");
}

/**
 * Flushes are ignored: what QEMU has written is in the host's page cache and outlives QEMU, and a
 * lab disk need not outlive the host.
 */
function disk(spec: MachineSpec, files: MachineFiles): readonly string[] {
  const blockdev = [
    "driver=raw,node-name=disk,discard=unmap,cache.no-flush=on,file.driver=file",
    `file.filename=${option(files.disk)}`,
  ].join(",");
  // NVMe and ATA cut the serial at 20 characters.
  const common = `drive=disk,bootindex=10,serial=${option(spec.serial.slice(-15))}-disk`;
  const device = {
    virtio: `virtio-blk-pci,${common}`,
    nvme: `nvme,${common}`,
    sata: `ide-hd,bus=ide.5,${common}`,
  }[spec.diskBus];
  return ["-blockdev", blockdev, "-device", device];
}

function tray(drive: number, boot: BootChoice): readonly string[] {
  const first = boot !== "disk" && boot.drive === drive ? ",bootindex=1" : "";
  return ["-device", `ide-cd,id=${driveId(drive)},bus=ide.${drive}${first}`];
}

/** `romfile=` empty: without the option ROM no time is lost with PXE. */
function network(spec: MachineSpec): readonly string[] {
  const { network: net } = spec;
  const backend =
    net.mode === "tap"
      ? `tap,id=net0,ifname=${option(net.interface)},script=no,downscript=no`
      : [
          "user,id=net0",
          ...(net.hostForward ?? []).map((f) => `hostfwd=tcp:127.0.0.1:${f.host}-:${f.guest}`),
        ].join(",");
  return ["-netdev", backend, "-device", `virtio-net-pci,netdev=net0,mac=${spec.mac},romfile=`];
}

/** QEMU's option syntax: a comma in a value is written twice. */
const option = (value: string): string => value.replaceAll(",", ",,");
