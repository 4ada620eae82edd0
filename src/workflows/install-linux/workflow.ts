// SPDX-License-Identifier: AGPL-3.0-or-later
import { minutes } from "../../base/units.ts";
import type { Workflow } from "../workflow.ts";
import { bootloaderLinux } from "./bootloader.ts";
import { configDrive } from "./config-drive.ts";
import { imageLinux } from "./image.ts";
import { partition } from "./partition.ts";

export const installLinux: Workflow = {
  target: "install-linux.target",
  bootIso: "maintenance",
  reportUnit: "install-linux-report.service",
  steps: [partition, imageLinux, bootloaderLinux, configDrive],
  budgets: { checkInMs: minutes(20), installMs: minutes(120) },
};
