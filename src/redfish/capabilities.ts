// SPDX-License-Identifier: AGPL-3.0-or-later

export const MEDIA_KINDS = ["CD", "DVD", "USBStick", "Floppy"] as const;
/** `MediaTypes` of a VirtualMedia resource (DSP2046). */
type MediaKind = (typeof MEDIA_KINDS)[number];

/** A virtual drive that takes an image by URL. Paths are on the BMC. */
export interface MediaSlot {
  readonly path: string;
  readonly id: string;
  readonly kinds: readonly MediaKind[];
  /** By POST to an action, or by PATCH of the slot itself. */
  readonly insert: "action" | "patch";
  readonly insertTarget?: string;
  /** Absent: ejected by PATCH. */
  readonly ejectTarget?: string;
  /** `HTTP`, `HTTPS`, `NFS`… (TransferProtocolType); null when not known. */
  readonly protocols: readonly string[] | null;
}

/** How a task can reach the server: two CDs, a CD and a removable disk with the same bytes, or one combined CD. */
export type Delivery = "dual" | "usb" | "combined";

/** What a probe learned of a BMC and its server. Plain data: it is stored as JSON and shown to people. */
export interface Capabilities {
  /** As the BMC writes it: `Dell Inc.`, `HPE`, `Supermicro`. */
  readonly vendor: string;
  readonly model: string;
  readonly bmcFirmware: string;
  readonly systemPath: string;
  /** null when the BMC tells none. */
  readonly systemSerial: string | null;
  /** Usable slots only; the one that firmware boots from is first. */
  readonly slots: readonly MediaSlot[];
  /** BootSourceOverrideTarget values; empty when the BMC does not list them. */
  readonly bootTargets: readonly string[];
  /** BootSourceOverrideMode values, or the present one alone. */
  readonly bootModes: readonly string[];
  /** SHA-256 of the BMC's certificate in lower-case hex. */
  readonly tlsFingerprint: string | null;
  readonly delivery: Delivery | null;
}

export const isOptical = (slot: MediaSlot): boolean =>
  slot.kinds.includes("CD") || slot.kinds.includes("DVD");
