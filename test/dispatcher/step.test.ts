// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { describeError } from "../../src/base/errors.ts";
import { report } from "../../src/dispatcher/report.ts";
import { openInstall, STEPS, USER_DATA } from "./install.ts";

describe("runStep()", () => {
  test("installs a server step by step, and does nothing the second time (R34, R38)", async () => {
    await using install = await openInstall();
    await install.boot();
    for (const name of STEPS) expect(await install.step(name)).toBeUndefined();
    expect(install.machine.mounted).toEqual([]);
    const actions = () =>
      install.controller.events.flatMap((e) => (e.type === "step-finished" ? [e.actions] : []));
    expect(actions()).toHaveLength(4);
    expect(actions().every((n) => n > 3)).toBe(true);
    const target = join(install.root, "mnt/target");
    expect(await Bun.file(join(target, "etc/os-release")).text()).toContain("ID=debian");
    expect(await Bun.file(join(target, "etc/fstab")).text()).toContain("/boot/efi");
    expect(await Bun.file(join(install.root, "mnt/cidata/user-data")).text()).toBe(USER_DATA);

    install.machine.runner.calls.length = 0;
    for (const name of STEPS) expect(await install.step(name)).toBeUndefined();
    expect(actions().slice(4)).toEqual([0, 0, 0, 0]);
    const changing = /^(?:sgdisk|wipefs|mkfs|mkswap|chroot|efibootmgr --quiet)/;
    expect(install.machine.runner.calls.filter((call) => changing.test(call))).toEqual([]);
    expect(install.machine.mounted).toEqual([]);
  });

  test("tells of its start, its actions, its bytes and its end", async () => {
    await using install = await openInstall();
    await install.boot();
    await install.step("partition");
    install.controller.asked.length = 0;
    await install.step("image-linux");
    const { events } = install.controller;
    expect(events[0]).toEqual({ type: "step-started", step: "image-linux.service" });
    expect(events.at(-1)).toMatchObject({ type: "step-finished", step: "image-linux.service" });
    const logged = events.flatMap((e) => (e.type === "log" ? [e.message] : []));
    expect(logged).toContain("make sure that this is a Linux system");
    const size = Bun.file(join(install.root, "root.tar")).size;
    expect(events.filter((e) => e.type === "bytes").at(-1)).toEqual({
      type: "bytes",
      step: "image-linux.service",
      done: size,
      total: size,
    });
  });

  test.each([
    { step: "partition", failing: "sgdisk", why: "write the new partition table to /dev/sda" },
    { step: "image-linux", failing: "mount --types=ext4 --options=rw", why: "mount /" },
    { step: "bootloader-linux", failing: "grub-mkconfig", why: "write the boot menu" },
    {
      step: "config-drive",
      failing: "--options=rw,fmask",
      why: "mount the config drive",
    },
  ])(
    "a failure in $step is said, kept for the report, and stops it (R31)",
    async ({ step, failing, why }) => {
      await using install = await openInstall();
      await install.boot();
      for (const before of STEPS.slice(0, STEPS.indexOf(step as (typeof STEPS)[number]))) {
        expect(await install.step(before)).toBeUndefined();
      }
      install.machine.failing = failing;
      const error = await install.step(step);
      expect(error).toMatchObject({ code: "COMMAND_FAILED" });
      expect(describeError(error)).toStartWith(`Cannot ${why}`);
      expect(describeError(error)).toEndWith("it is broken");
      expect(install.machine.runner.calls.at(-1)).toContain(failing);

      const last = install.controller.events.at(-1);
      expect(last).toMatchObject({ type: "log", step: `${step}.service`, level: "error" });
      expect(last).toMatchObject({ message: expect.stringContaining("it is broken") });
      const unit = `${step}.service`;
      const deps = { ...install.controller.deps, uuid: () => "d-1" };
      await report({ outcome: "failure", unit, serviceResult: "exit-code" }, install.paths, deps);
      const sent = JSON.parse(install.controller.asked.at(-1)?.body ?? "");
      expect(sent).toMatchObject({ status: "failed", failed_step: unit });
      expect(sent.error).toContain(`Cannot ${why}`);
    },
  );

  test("unmounts what it looked at, also when only a part could be mounted", async () => {
    await using install = await openInstall();
    await install.boot();
    await install.step("partition");
    install.machine.failing = "mount --types=ext4 --options=ro";
    expect(await install.step("image-linux")).toMatchObject({ code: "COMMAND_FAILED" });
    expect(install.machine.runner.calls.at(-1)).toBe("umount --recursive /mnt/target");
    expect(install.machine.mounted).toEqual([]);
  });

  test("makes a root anew that cannot be mounted any more, when the recipe allows for it (R38)", async () => {
    await using install = await openInstall();
    await install.boot();
    await install.step("partition");
    install.machine.failing = "mount --types=ext4 --options=ro";
    install.machine.runner.calls.length = 0;
    expect(await install.step("partition")).toBeUndefined();
    expect(install.machine.runner.calls.filter((c) => c.startsWith("sgdisk"))).toHaveLength(1);
    expect(install.machine.mounted).toEqual([]);
  });

  test("knows the steps of the recipe's workflow only", async () => {
    await using install = await openInstall();
    await install.boot();
    expect(await install.step("image-windows")).toMatchObject({
      code: "USAGE",
      message: 'Cannot run the step "image-windows": install-linux.target has no such step',
    });
  });

  test("stops when it is asked to, and says so", async () => {
    await using install = await openInstall();
    await install.boot();
    const stopped = AbortSignal.abort(new Error("Stopped by SIGTERM"));
    expect(describeError(await install.step("partition", stopped))).toContain("Stopped by SIGTERM");
    expect(install.machine.runner.calls.filter((call) => call.startsWith("sgdisk"))).toEqual([]);
    const reason = await Bun.file(join(install.paths.run, "steps/partition.service.json")).json();
    expect(reason.error).toContain("Stopped by SIGTERM");
  });

  test("keeps the reason also when there is no job to be read (R31, R35)", async () => {
    await using install = await openInstall();
    await install.boot();
    await Bun.write(join(install.paths.run, "task.json"), '{"token": CANARY}');
    expect(describeError(await install.step("partition"))).toBe("it is not JSON");
    const reason = await Bun.file(join(install.paths.run, "steps/partition.service.json")).json();
    expect(reason).toEqual({ error: "it is not JSON" });
  });

  test("a step whose controller is away goes on without it", async () => {
    await using install = await openInstall();
    await install.boot();
    install.controller.isAway = true;
    expect(await install.step("partition")).toBeUndefined();
    expect(install.controller.asked.length).toBeGreaterThan(0);
  });
});
