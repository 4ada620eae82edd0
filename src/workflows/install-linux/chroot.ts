// SPDX-License-Identifier: AGPL-3.0-or-later
import { type Millis, minutes } from "../../base/units.ts";
import type { Action } from "../../plan/action.ts";
import { makeDirectory, mount, ROOT, run } from "./target.ts";

/**
 * What programs of the installed system expect around them: devices, kernel interfaces, and a /run that
 * shows them udev's data but nothing else of the maintenance OS.
 */
export function enterActions(): Action[] {
  return [
    bind("/dev"),
    bind("/sys"),
    mount("proc", `${ROOT}/proc`, "proc", "nosuid,nodev,noexec", "/proc"),
    mount("tmpfs", `${ROOT}/run`, "tmpfs", "nosuid,nodev,mode=0755", "/run"),
    mount("tmpfs", `${ROOT}/tmp`, "tmpfs", "nosuid,nodev,mode=1777", "/tmp"),
    makeDirectory(`${ROOT}/run/udev`, ROOT),
    bind("/run/udev"),
  ];
}

function bind(path: string): Action {
  const argv = ["mount", "--bind", path, `${ROOT}${path}`] as const;
  return { ...run(`show ${path} inside`, argv, minutes(1)), root: ROOT };
}

/** Runs a program of the installed system, inside of it. */
export function inside(
  why: string,
  argv: readonly string[],
  timeoutMs: Millis = minutes(5),
): Action {
  return run(why, ["chroot", ROOT, ...argv], timeoutMs);
}
