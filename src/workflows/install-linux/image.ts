// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { minutes } from "../../base/units.ts";
import type { Action, Plan } from "../../plan/action.ts";
import type { Found } from "../../plan/look.ts";
import { matchesLayout } from "../../plan/match-layout.ts";
import type { JobContext, Step, StepInput } from "../workflow.ts";
import { LOOK_FOR_STAMP, leaveRoot, reachRoot } from "./partition.ts";
import { IMAGE_STAMP, isStamped, stampText } from "./stamp.ts";
import {
  type LinuxTarget,
  linuxTarget,
  mountActions,
  mountedAt,
  ROOT,
  sync,
  unmount,
} from "./target.ts";

const NAME = "image-linux";

/** A tree that is a Linux system says so: os-release(5). */
const OS_RELEASE = ["etc/os-release", "usr/lib/os-release"] as const;
/** Where Debian and Fedora keep kernels, in packages and in images that carry none in /boot. */
const KERNELS = ["boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"] as const;

/** The root file system, from the job's artifact. */
export const imageLinux: Step = {
  name: NAME,
  unit: "image-linux.service",
  budgetMs: minutes(90),
  needsBootEntries: false,
  reach: (input) => reachRoot(NAME, linuxTarget(input)),
  look: () => LOOK_FOR_STAMP,
  leave: (input) => leaveRoot(NAME, linuxTarget(input)),
  plan: planImage,
};

/**
 * Plans nothing when the very artifact is installed already.
 *
 * @throws {ProvError} PLAN_IMPOSSIBLE when the disk is not as the partition step leaves it;
 *   SERVER_MISMATCH, DISK_MISMATCH.
 */
function planImage(input: StepInput, found: Found): Plan {
  const target = linuxTarget(input);
  const { artifact } = input.job;
  requirePartitioned(target, NAME);
  if (artifact === null) {
    throw new ProvError("Cannot plan the image: the job names no artifact", {
      code: "PLAN_IMPOSSIBLE",
    });
  }
  if (isStamped(found, IMAGE_STAMP, target, input.job)) return { step: NAME, actions: [] };
  requireEmpty(target, found);
  return {
    step: NAME,
    actions: [
      ...mountActions(target, "writable"),
      {
        kind: "unpack",
        why: `unpack ${artifact.name} onto the root`,
        artifact: artifact.digest === null ? artifact.name : `${artifact.name}@${artifact.digest}`,
        into: ROOT,
        compression: "auto",
        timeoutMs: minutes(85),
      },
      ...checkActions(),
      ...personalActions(target, input.job),
      unmount(ROOT),
    ],
  };
}

/** @throws {ProvError} PLAN_IMPOSSIBLE when table and file systems are not the recipe's. */
export function requirePartitioned(target: LinuxTarget, step: string): void {
  if (matchesLayout(target.disk, target.layout)) return;
  throw new ProvError(
    `Cannot plan ${step}: ${target.disk.path} does not have the recipe's partitions and file systems`,
    { code: "PLAN_IMPOSSIBLE", hint: "Run the partition step first." },
  );
}

/** Two images laid over each other are neither of them. */
function requireEmpty(target: LinuxTarget, found: Found): void {
  const others = target.layout.partitions.map((p) => p.spec.mountpoint?.split("/")[1]);
  const left = found.paths.filter((p) => p !== "lost+found" && !others.includes(p));
  if (left.length === 0) return;
  throw new ProvError(
    `Cannot unpack the image: the root has ${left.slice(0, 5).join(", ")} in it`,
    {
      code: "PLAN_IMPOSSIBLE",
      hint: "Run the partition step again: it makes new file systems.",
    },
  );
}

function checkActions(): Action[] {
  return [
    {
      kind: "require",
      why: "make sure that this is a Linux system",
      root: ROOT,
      anyOf: OS_RELEASE,
      missing: "the artifact is no Linux root file system: it has no os-release",
    },
    {
      kind: "require",
      why: "make sure that it has a kernel",
      root: ROOT,
      anyOf: KERNELS,
      missing: "the artifact has no kernel",
    },
  ];
}

/**
 * What must not be the same on two servers with the same image; and, once all of it is on the disk, the note
 * that the image is complete.
 */
function personalActions(target: LinuxTarget, job: JobContext): Action[] {
  return [
    {
      kind: "write",
      why: "let the system choose its own machine id when it first starts",
      root: ROOT,
      path: `${ROOT}/etc/machine-id`,
      text: "",
      mode: 0o444,
    },
    sync(mountedAt(target)),
    {
      kind: "write",
      why: "note which image this is",
      root: ROOT,
      path: `${ROOT}/${IMAGE_STAMP}`,
      text: stampText(target, job),
      mode: 0o644,
    },
  ];
}
