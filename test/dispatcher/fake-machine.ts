// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A machine with one blank disk for `prov step`: its programs only remember what they were asked, and say
 * afterwards what the real ones would say. What plans do below /mnt happens below the tree's own /mnt.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { StepDeps } from "../../src/dispatcher/step.ts";
import { executePlan } from "../../src/exec/execute.ts";
import { lookAt } from "../../src/exec/look.ts";
import type { CommandResult } from "../../src/exec/runner.ts";
import type { Envelope } from "../../src/jobs/envelope.ts";
import type { Action, Plan } from "../../src/plan/action.ts";
import type { PartitionTable } from "../../src/plan/facts.ts";
import { tableOf } from "../../src/plan/match-layout.ts";
import type { Recipe } from "../../src/recipe/recipe.ts";
import { linuxTarget } from "../../src/workflows/install-linux/target.ts";
import { FakeRunner } from "../helpers/fake-runner.ts";
import { disk, machine } from "../helpers/machines.ts";

type Reply = Partial<CommandResult> | undefined;

export class FakeMachine {
  readonly runner: FakeRunner;
  /** What is mounted where; mounted twice is counted twice. */
  readonly mounted: string[] = [];
  /** The first command that contains this text fails. */
  failing: string | undefined;
  readonly #root: string;
  readonly #table: PartitionTable;
  #isPartitioned = false;
  #hasBootEntry = false;

  constructor(root: string, envelope: Envelope, recipe: Recipe) {
    this.#root = root;
    const blank = disk("/dev/sda");
    const { layout } = linuxTarget({
      recipe,
      machine: machine([blank], { serial: envelope.server_serial }),
      job: {
        serverSerial: envelope.server_serial,
        bootMedium: null,
        artifact: null,
        files: "/run/provision",
      },
    });
    this.#table = tableOf(layout, blank.path);
    this.runner = new FakeRunner((command) => this.#reply(command));
    mkdirSync(join(root, "sys/firmware/efi"), { recursive: true });
  }

  /** What runStep() is given in place of the real file system. */
  get tree(): Pick<StepDeps, "executePlan" | "lookAt"> {
    return {
      executePlan: (plan, deps, signal) => executePlan(this.#below(plan), deps, signal),
      lookAt: (look) => lookAt({ ...look, root: this.#at(look.root) }),
    };
  }

  #at(path: string): string {
    return path.startsWith("/mnt/") ? join(this.#root, path) : path;
  }

  #below(plan: Plan): Plan {
    const moved = (action: Action): Action => {
      switch (action.kind) {
        case "mkdir":
        case "write":
          return { ...action, root: this.#at(action.root), path: this.#at(action.path) };
        case "copy": {
          const [from, to] = [this.#at(action.from), this.#at(action.to)];
          return { ...action, root: this.#at(action.root), from, to };
        }
        case "unpack":
          return { ...action, into: this.#at(action.into) };
        case "require":
          return { ...action, root: this.#at(action.root) };
        case "run": {
          // Programs are told the machine's own paths, not the tree's.
          const { root: _, ...run } = action;
          return run;
        }
      }
    };
    return { ...plan, actions: plan.actions.map(moved) };
  }

  #reply(command: string): Reply {
    if (this.failing !== undefined && command.includes(this.failing)) {
      return { exitCode: 1, stderr: "it is broken" };
    }
    const [program, ...words] = command.split(" ");
    const last = words.at(-1) ?? "";
    if (program === "mount") {
      this.mounted.push(last);
      mkdirSync(this.#at(last), { recursive: true });
    }
    if (program === "umount") this.#unmount(last);
    if (program === "sgdisk") this.#isPartitioned = true;
    if (command.includes("efibootmgr --quiet --create")) this.#hasBootEntry = true;
    if (program === "lsblk") return { stdout: LSBLK };
    if (program === "sfdisk") return this.#isPartitioned ? { stdout: this.#sfdisk() } : FAILED;
    if (program === "blkid") return this.#blkid(last);
    if (command === "efibootmgr --verbose") return { stdout: this.#bootEntries() };
    return undefined;
  }

  #unmount(path: string): void {
    const isBelow = (at: string) => at === path || at.startsWith(`${path}/`);
    const left = this.mounted.filter((at) => !isBelow(at));
    this.mounted.splice(0, this.mounted.length, ...left);
  }

  #sfdisk(): string {
    return JSON.stringify({
      partitiontable: {
        label: "gpt",
        id: this.#table.guid,
        device: "/dev/sda",
        unit: "sectors",
        sectorsize: 512,
        partitions: this.#table.partitions.map((p) => ({
          node: p.path,
          start: p.startSector,
          size: p.sectors,
          type: p.type,
          uuid: p.guid,
          name: p.name,
        })),
      },
    });
  }

  #blkid(path: string): Reply {
    const found = this.#table.partitions.find((p) => p.path === path)?.signature;
    if (!this.#isPartitioned || found === null || found === undefined) return { exitCode: 2 };
    const { type, uuid, label } = found;
    const lines = [`DEVNAME=${path}`, `TYPE=${type}`];
    if (uuid !== null) lines.push(`UUID=${uuid}`);
    if (label !== null) lines.push(`LABEL=${label}`);
    return { stdout: `${lines.join("\n")}\n` };
  }

  #bootEntries(): string {
    if (!this.#hasBootEntry) return "BootCurrent: 0000\nTimeout: 0 seconds\n";
    const guid = this.#table.partitions[0]?.guid;
    const path = String.raw`HD(1,GPT,${guid},0x800,0x100000)/File(\EFI\debian\shimx64.efi)`;
    return `BootCurrent: 0001\nBootOrder: 0001\nBoot0001* debian\t${path}\n`;
  }
}

const FAILED = { exitCode: 1, stderr: "does not contain a recognized partition table" };

const LSBLK = JSON.stringify({
  blockdevices: [
    {
      path: "/dev/sda",
      type: "disk",
      size: 64 * 1024 ** 3,
      "log-sec": 512,
      ro: false,
      model: "Some SSD",
      serial: null,
      mountpoints: [null],
    },
  ],
});
