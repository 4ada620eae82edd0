// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Action } from "../../plan/action.ts";

/** How a family of distributions gets its boot loader: what differs between them. */
export interface Loader {
  /** Name of the firmware's boot entry. */
  readonly label: string;
  /** What the boot entry starts, as a path on the EFI system partition: `\EFI\debian\shimx64.efi`. */
  readonly path: string;
  /** Before the EFI system partition hides what the image has in its place: run with it at {@link ESP}. */
  readonly beforeEsp: readonly Action[];
  /** Inside the installed system, with everything mounted. */
  readonly install: readonly Action[];
}

/** Where the EFI system partition is mounted while the image's own files are copied onto it. */
export const ESP = "/mnt/esp";
