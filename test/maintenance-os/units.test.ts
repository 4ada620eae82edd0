// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { installLinux } from "../../src/workflows/install-linux/workflow.ts";
import { parseUnit, type UnitFile, words } from "./unit-file.ts";

const MAINTENANCE_OS = join(import.meta.dir, "../../maintenance-os");
const UNITS = join(MAINTENANCE_OS, "rootfs/usr/lib/systemd/system");
const QUADLETS = join(MAINTENANCE_OS, "rootfs/usr/share/containers/systemd");
const REPORTS_FAILURE = ["provision-failed@%n.service"];

const unit = async (name: string): Promise<UnitFile> =>
  parseUnit(await Bun.file(join(UNITS, name)).text());
const quadlet = async (step: string): Promise<UnitFile> =>
  parseUnit(await Bun.file(join(QUADLETS, `${step}.container`)).text());

const STEPS = installLinux.steps.map(({ name }) => name);

test("every step of the workflow has a Quadlet, and every Quadlet is a step", async () => {
  const found = (await readdir(QUADLETS)).map((name) => name.replace(/\.container$/, ""));
  expect(found.sort()).toEqual([...STEPS].sort());
});

test.each(installLinux.steps.map((step, i) => [step.name, step, STEPS[i - 1]] as const))(
  "R31, R34: %s runs prov step from an image of the ISO, after the step before it, and reports its failure",
  async (name, step, previous) => {
    const container = await quadlet(name);
    expect(words(container, "Unit.OnFailure")).toEqual(REPORTS_FAILURE);
    const before = previous === undefined ? [] : [`${previous}.service`];
    expect(words(container, "Unit.Requires")).toEqual(before);
    expect(words(container, "Unit.After")).toEqual(before);
    expect(container.get("Container.Exec")).toEqual([`/usr/bin/prov step ${name}`]);
    expect(container.get("Container.Pull")).toEqual(["never"]);
    expect(container.get("Container.Network")).toEqual(["host"]);
    expect(container.get("Service.Type")).toEqual(["oneshot"]);
    expect(container.get("Service.RemainAfterExit")).toEqual(["yes"]);
    expect(container.get("Service.TimeoutStartSec")).toEqual([`${step.budgetMs / 60_000}m`]);
    expect(container.get("Service.StandardOutput")).toEqual(["journal+console"]);

    const image = /^localhost\/prov\/([a-z-]+):1$/.exec(
      container.get("Container.Image")?.[0] ?? "",
    );
    expect(existsSync(join(MAINTENANCE_OS, "tools", image?.[1] ?? "", "Containerfile"))).toBe(true);
  },
);

test("only the step that pulls waits for the network", async () => {
  const waiting = [];
  for (const name of STEPS) {
    const container = await quadlet(name);
    if (container.get("Quadlet.DefaultDependencies")?.[0] !== "false") waiting.push(name);
  }
  expect(waiting).toEqual(["image-linux"]);
});

test("R31: success is reported by a oneshot that needs every step and does not remain", async () => {
  const report = await unit(installLinux.reportUnit);
  const services = STEPS.map((name) => `${name}.service`);
  expect(words(report, "Unit.Requires")).toEqual(services);
  expect(words(report, "Unit.After")).toEqual([...services, "network-online.target"]);
  expect(report.get("Service.Type")).toEqual(["oneshot"]);
  expect(report.has("Service.RemainAfterExit")).toBe(false);
  expect(report.get("Service.Restart")).toEqual(["on-failure"]);
  expect(words(report, "Unit.OnFailure")).toEqual(REPORTS_FAILURE);

  const target = await unit(installLinux.target);
  expect(words(target, "Unit.Requires")).toEqual([installLinux.reportUnit]);
  expect(words(target, "Unit.After")).toEqual([installLinux.reportUnit]);
});

test("R32: the dispatcher reports its failure, by a unit that needs no file of a task", async () => {
  expect(words(await unit("provision-dispatcher.service"), "Unit.OnFailure")).toEqual(
    REPORTS_FAILURE,
  );
  const failed = await unit("provision-failed@.service");
  expect(failed.get("Service.ExecStart")).toEqual(["/usr/bin/prov report failure %i"]);
  for (const key of ["Service.EnvironmentFile", "Unit.Requires", "Unit.ConditionPathExists"]) {
    expect(failed.has(key)).toBe(false);
  }
});

test("R35: no login, no shell and no socket is left in the base", async () => {
  const masked = await Bun.file(join(MAINTENANCE_OS, "masked-units.txt")).text();
  for (const name of [
    "getty@.service",
    "serial-getty@.service",
    "console-getty.service",
    "debug-shell.service",
    "emergency.service",
    "rescue.service",
    "podman.socket",
  ]) {
    expect(masked.split("\n")).toContain(name);
  }
  const preset = await Bun.file(
    join(MAINTENANCE_OS, "rootfs/usr/lib/systemd/system-preset/00-maintenance-os.preset"),
  ).text();
  expect(preset.trimEnd().split("\n").at(-1)).toBe("disable *");
});

test("every source file of the maintenance OS names its licence", async () => {
  const files = await Array.fromAsync(new Bun.Glob("**/*").scan(MAINTENANCE_OS));
  const unlicensed = [];
  for (const file of files.filter((name) => !name.endsWith(".md"))) {
    const lines = (await Bun.file(join(MAINTENANCE_OS, file)).text()).split("\n", 2);
    if (!lines.some((line) => /^(#|\/\/) SPDX-License-Identifier: AGPL-3.0-or-later$/.test(line))) {
      unlicensed.push(file);
    }
  }
  expect(unlicensed).toEqual([]);
});
