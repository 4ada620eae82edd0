// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A recipe as the rest of prov sees it: checked, with its aliases resolved and its defaults filled in.
 * `schemas/recipe.schema.json` is the contract of the JSON; `parse.ts` leads from there to here.
 */

/** What a partition is formatted with; `raw` leaves it as it is. */
export type Format = "vfat" | "ext4" | "xfs" | "btrfs" | "ntfs" | "swap" | "raw";

/** What may be done about data found on the target disk. */
export type Wipe = "always" | "if-empty" | "never";

export interface PartitionSpec {
  /** As written: `512M`, or a percentage of what the fixed sizes leave. See size.ts. */
  readonly size: string;
  /** A type GUID with dashes, lower case; a four-digit sgdisk code has been looked up. */
  readonly typeGuid: string;
  readonly format: Format;
  /** File system label and GPT name; null when the recipe names none. */
  readonly label: string | null;
  /** Absolute path in the installed system; null: decided by the partition's role, or not mounted. */
  readonly mountpoint: string | null;
}

export interface Recipe {
  /** Name of the systemd target that carries the recipe out: `install-linux.target`. */
  readonly taskTarget: string;
  /** A whole disk: `/dev/sda`, `/dev/disk/by-id/…`. */
  readonly targetDisk: string | null;
  readonly ociUrl: string | null;
  readonly partitionLayout: readonly PartitionSpec[] | null;
  readonly wipe: Wipe;
  /** cloud-init user data as written, plain or base64. Secret. */
  readonly userData: string | null;
  /** Secret. */
  readonly unattendXml: string | null;
  /** Secret. */
  readonly ksCfg: string | null;
  /** Index or name of the image inside the WIM. */
  readonly wimIndex: number | string;
  readonly firmwareUrl: string | null;
  /** Lower-case hex. */
  readonly firmwareSha256: string | null;
  /** Whether the server is switched on or left off once the job is over. */
  readonly powerAfter: "on" | "off";
}
