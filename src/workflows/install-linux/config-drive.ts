// SPDX-License-Identifier: AGPL-3.0-or-later
import { minutes } from "../../base/units.ts";
import type { Action, Plan } from "../../plan/action.ts";
import { sha256Hex } from "../../plan/hash.ts";
import type { Found, Look } from "../../plan/look.ts";
import type { Step, StepInput } from "../workflow.ts";
import { requirePartitioned } from "./image.ts";
import {
  deviceOf,
  type LinuxTarget,
  linuxTarget,
  makeDirectory,
  mount,
  mountActions,
  mountedAt,
  ROOT,
  sync,
  unmount,
} from "./target.ts";
import { readUserData } from "./user-data.ts";

const NAME = "config-drive";
const DRIVE = "/mnt/cidata";

/** Only root reads what is on the drive; the modes are what a FAT file system can be given. */
const DRIVE_OPTIONS = "fmask=0177,dmask=0077";

/** Where NoCloud looks without a drive (cloud-init documentation, "NoCloud", sources of configuration). */
const SEED_DIRECTORY = "var/lib/cloud/seed/nocloud";

/**
 * The configuration for cloud-init's NoCloud data source: on the partition labelled cidata or, when the layout
 * has none and the recipe has user data, in the seed directory of the installed system.
 */
export const configDrive: Step = {
  name: NAME,
  unit: "config-drive.service",
  budgetMs: minutes(10),
  needsBootEntries: false,
  reach: (input) => ({ step: NAME, actions: mountSeed(input, "read-only") }),
  look: (input): Look => {
    const { root, directory } = placeOf(linuxTarget(input));
    const names = seedFiles(input).map(({ name }) => `${directory}${name}`);
    return { root, find: [], read: [], hash: names };
  },
  leave: (input) => ({
    step: NAME,
    actions: hasSeed(input) ? [unmount(placeOf(linuxTarget(input)).root)] : [],
  }),
  plan: planConfigDrive,
};

/** Plans nothing when the files are there already, or when there is nowhere and nothing to write. */
function planConfigDrive(input: StepInput, found: Found): Plan {
  const target = linuxTarget(input);
  requirePartitioned(target, NAME);
  const { root, directory } = placeOf(target);
  const files = seedFiles(input);
  const isDone = files.every(({ name, sha256 }) => found.sha256[`${directory}${name}`] === sha256);
  if (!hasSeed(input) || isDone) return { step: NAME, actions: [] };
  return {
    step: NAME,
    actions: [
      ...mountSeed(input, "writable"),
      ...files.map(({ name, put }) => put({ root, path: `${root}/${directory}${name}` })),
      sync(target.configDrive === undefined ? mountedAt(target) : [root]),
      unmount(root),
    ],
  };
}

const hasSeed = (input: StepInput): boolean =>
  linuxTarget(input).configDrive !== undefined || input.recipe.userData !== null;

function placeOf(target: LinuxTarget): { root: string; directory: string } {
  return target.configDrive === undefined
    ? { root: ROOT, directory: `${SEED_DIRECTORY}/` }
    : { root: DRIVE, directory: "" };
}

function mountSeed(input: StepInput, mode: "read-only" | "writable"): Action[] {
  const target = linuxTarget(input);
  if (!hasSeed(input)) return [];
  if (target.configDrive === undefined) return mountActions(target, mode);
  const options = `${mode === "read-only" ? "ro" : "rw"},${DRIVE_OPTIONS}`;
  return [
    makeDirectory(DRIVE),
    mount(deviceOf(target, target.configDrive), DRIVE, "vfat", options, "the config drive"),
  ];
}

interface SeedFile {
  readonly name: string;
  readonly sha256: string;
  readonly put: (place: { readonly root: string; readonly path: string }) => Action;
}

/** cloud-init takes a seed only when both files are there. */
function seedFiles({ recipe, job }: StepInput): SeedFile[] {
  const userData = recipe.userData === null ? null : readUserData(recipe.userData);
  // A new instance id makes cloud-init run again: other user data are another instance.
  const instance = `${job.serverSerial}-${(userData?.sha256 ?? sha256Hex("")).slice(0, 12)}`;
  const metaData = `${[
    `instance-id: ${JSON.stringify(instance)}`,
    // Gives way to a hostname in the user data.
    `local-hostname: ${hostnameFrom(job.serverSerial)}`,
  ].join("\n")}\n`;
  return [
    {
      name: "meta-data",
      sha256: sha256Hex(metaData),
      put: (place) => ({
        kind: "write",
        why: "tell cloud-init which server this is",
        ...place,
        text: metaData,
        mode: 0o600,
      }),
    },
    userData === null
      ? noUserData()
      : copiedUserData(job.files, userData.encoding, userData.sha256),
  ];
}

function noUserData(): SeedFile {
  const text = "#cloud-config\n{}\n";
  const why = "tell cloud-init that there is nothing else to do";
  return {
    name: "user-data",
    sha256: sha256Hex(text),
    put: (place) => ({ kind: "write", why, ...place, text, mode: 0o600 }),
  };
}

function copiedUserData(files: string, decode: "none" | "base64", sha256: string): SeedFile {
  const why = "copy the user data";
  const from = `${files}/user-data`;
  return {
    name: "user-data",
    sha256,
    put: ({ root, path }) => ({ kind: "copy", why, root, from, to: path, mode: 0o600, decode }),
  };
}

/** A serial as a host name (RFC 1123): `XF-12345ABC` becomes `xf-12345abc`. */
export function hostnameFrom(serial: string): string {
  const name = serial
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 63)
    .replace(/^-+|-+$/g, "");
  return name === "" ? "server" : name;
}
