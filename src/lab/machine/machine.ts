// SPDX-License-Identifier: AGPL-3.0-or-later

/** What a BMC drives: a QEMU machine, or a simulated host. */
export interface Machine {
  /** How many CD drives it has; they are numbered from 0. */
  readonly drives: number;
  power(): "On" | "Off";
  /**
   * Does nothing when the machine is on. `nextBoot` is asked at every start, also when the guest
   * resets itself: that is what makes a one-time override one-time.
   */
  powerOn(nextBoot: () => BootChoice): Promise<void>;
  /** Pulls the plug. */
  forceOff(): Promise<void>;
  /** Presses the power button; the machine goes off later, or is forced off if it ignores that. */
  pressPowerButton(): Promise<void>;
  insert(drive: number, medium: Medium): Promise<void>;
  /** Forced: also when the guest has locked the tray. */
  eject(drive: number): Promise<void>;
  /** Powers off and gives back everything; the machine cannot be used again. */
  stop(): Promise<void>;
}

/** An image as the BMC found it by HEAD. */
export interface Medium {
  readonly url: string;
  /** In bytes. */
  readonly size: number;
}

/** What the firmware starts. A drive without a bootable medium falls through to the disk. */
export type BootChoice = "disk" | { readonly drive: number };

export type DiskBus = "virtio" | "nvme" | "sata";

/** The hardware of a QEMU machine. */
export interface MachineSpec {
  /** DMI product serial; also the seed of disk serial and UUID. */
  readonly serial: string;
  readonly manufacturer: string;
  readonly product: string;
  /** Holds disk.raw, nvram.fd, qemu.log; made when it is missing, kept when the lab stops. */
  readonly directory: string;
  readonly diskGiB: number;
  readonly diskBus: DiskBus;
  readonly memoryMiB: number;
  readonly cpus: number;
  readonly drives: number;
  readonly secureBoot: boolean;
  readonly network: MachineNetwork;
  /** `52:54:00:…` */
  readonly mac: string;
  /** Everything the guest writes to its first serial port is appended to this file. */
  readonly consoleLog: string;
}

export type MachineNetwork =
  /** QEMU's own NAT: DHCP inside, the host is 10.0.2.2. */
  | { readonly mode: "user"; readonly hostForward?: readonly HostForward[] }
  /** A tap interface that exists; no DHCP unless somebody runs it. */
  | { readonly mode: "tap"; readonly interface: string };

/** TCP from 127.0.0.1:`host` to the guest's `guest`. */
interface HostForward {
  readonly host: number;
  readonly guest: number;
}

export type Accelerator = "kvm" | "tcg";
