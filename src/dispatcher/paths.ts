// SPDX-License-Identifier: AGPL-3.0-or-later
import { join } from "node:path";

/** Where the agent finds and leaves things. Tests put the whole tree under a folder of their own. */
export interface AgentPaths {
  /** `/run/provision`: what the steps of a workflow read. */
  readonly run: string;
  readonly sys: string;
  readonly dev: string;
  readonly taskMount: string;
  /** Where systemd-networkd reads configuration that is gone after a reboot. */
  readonly networkd: string;
  /** The boot medium, if the initramfs left it mounted; a combined medium has its task in a file there. */
  readonly bootMount: string;
  /** Written by the initramfs: the device that the system was booted from. */
  readonly bootDevice: string;
}

export function agentPaths(root = "/"): AgentPaths {
  return {
    run: join(root, "run/provision"),
    sys: join(root, "sys"),
    dev: join(root, "dev"),
    taskMount: join(root, "mnt/task"),
    networkd: join(root, "run/systemd/network"),
    bootMount: join(root, "run/initramfs/live"),
    bootDevice: join(root, "run/initramfs/boot-device"),
  };
}
