// SPDX-License-Identifier: AGPL-3.0-or-later
import { millis, minutes } from "../../base/units.ts";
import type { Workflow } from "../workflow.ts";
import { bootloaderLinux } from "./bootloader.ts";
import { configDrive } from "./config-drive.ts";
import { imageLinux } from "./image.ts";
import { partition } from "./partition.ts";

const STEPS = [partition, imageLinux, bootloaderLinux, configDrive];

/**
 * The controller waits longer than all steps together may take: a step that hangs is ended by systemd and
 * reported by its name, and only silence is the controller's to judge.
 */
const INSTALL_BUDGET = millis(STEPS.reduce((sum, step) => sum + step.budgetMs, 0) + minutes(30));

export const installLinux: Workflow = {
  target: "install-linux.target",
  bootIso: "maintenance",
  reportUnit: "install-linux-report.service",
  steps: STEPS,
  budgets: { checkInMs: minutes(20), installMs: INSTALL_BUDGET },
};
