// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { cp, mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { describeError } from "../../src/base/errors.ts";
import { seconds } from "../../src/base/units.ts";
import { type DispatchOptions, dispatch } from "../../src/dispatcher/dispatch.ts";
import { dispatchExitCode } from "../../src/dispatcher/exit.ts";
import type { CommandResult } from "../../src/exec/runner.ts";
import type { Envelope } from "../../src/jobs/envelope.ts";
import { RECIPE_SCHEMA_TEXT } from "../../src/recipe/schema.ts";
import { FakeRunner } from "../helpers/fake-runner.ts";
import { agentTree, ENVELOPE } from "./agent-tree.ts";
import { addDevice } from "./devices.ts";
import { FakeController } from "./fake-controller.ts";

const RECIPE = {
  task_target: "install-linux.target",
  target_disk: "/dev/sda",
  oci_url: "os-images/debian:13",
  user_data: "#cloud-config\nhostname: web-1\n",
  partition_layout: [
    { size: "512M", type_guid: "ef00", format: "vfat" },
    { size: "100%", type_guid: "8300", format: "ext4" },
  ],
};

type Files = Readonly<Record<string, string>>;

const TASK: Files = {
  "recipe.json": JSON.stringify(RECIPE),
  "recipe.schema.json": RECIPE_SCHEMA_TEXT,
  "task.json": JSON.stringify(ENVELOPE),
  "user-data": RECIPE.user_data,
};

interface Case {
  /** Contents of the media by device name; without any there is one, sr1, with a good task. */
  readonly media?: Readonly<Record<string, Files>>;
  readonly serial?: string;
  readonly options?: Partial<DispatchOptions>;
  /** Programs that end with 1. */
  readonly failing?: readonly string[];
  /** So many mounts fail before one succeeds. */
  readonly hiccups?: number;
  /** Something in the way of `/run/provision`. */
  readonly blocked?: boolean;
  readonly controller?: FakeController;
}

/** Runs dispatch() on a machine of its own. */
async function dispatched(given: Case = {}) {
  const tree = await agentTree();
  const media = given.media ?? { sr1: TASK };
  for (const [name, files] of Object.entries(media)) {
    await addDevice(tree.root, { name, volumeId: `TASK_${name}`, bus: "sata" });
    for (const [file, text] of Object.entries(files)) {
      await Bun.write(join(tree.root, "media", name, file), text);
    }
  }
  const serial = given.serial ?? `${ENVELOPE.server_serial}\n`;
  await Bun.write(join(tree.paths.sys, "class/dmi/id/product_serial"), serial);
  await Bun.write(tree.paths.bootDevice, "/dev/sr0\n");
  if (given.blocked === true) await Bun.write(tree.paths.run, "a file");

  const controller = given.controller ?? new FakeController();
  let mounts = 0;
  const fake = new FakeRunner((command): Partial<CommandResult> | undefined => {
    const program = command.split(" ")[0] ?? "";
    const hiccups = program === "mount" && mounts++ < (given.hiccups ?? 0);
    const fails = hiccups || given.failing?.includes(program) === true;
    return fails ? { exitCode: 1, stderr: "no" } : undefined;
  });
  const runner = {
    calls: fake.calls,
    async run(...[argv, options]: Parameters<FakeRunner["run"]>) {
      const result = await fake.run(argv, options);
      if (argv[0] === "mount" && result.exitCode === 0) {
        const name = argv.at(-2)?.split("/").at(-1) ?? "";
        await cp(join(tree.root, "media", name), tree.paths.taskMount, { recursive: true });
      }
      if (argv[0] === "umount") await rm(tree.paths.taskMount, { recursive: true });
      return result;
    },
  };
  const options: DispatchOptions = {
    paths: tree.paths,
    mediumWait: seconds(120),
    noStart: false,
    targetOverride: null,
    version: "1.2.3",
    uid: 0,
    ...given.options,
  };
  const error = await dispatch(options, { ...controller.deps, runner }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return {
    ...tree,
    controller,
    calls: runner.calls,
    error,
    exitCode: error === undefined ? 0 : dispatchExitCode(error),
    written: (name: string) => Bun.file(join(tree.paths.run, name)).text(),
  };
}

const without = (name: string): Files =>
  Object.fromEntries(Object.entries(TASK).filter(([file]) => file !== name));
const withFile = (name: string, text: string): Files => ({ ...TASK, [name]: text });
const invalidRecipe = JSON.stringify({ ...RECIPE, target_disk: "/dev/sda1" });

describe("dispatch()", () => {
  test.each<{ code: number; why: string; given: Case }>([
    { code: 0, why: "all is well", given: {} },
    { code: 10, why: "there is no medium", given: { media: {} } },
    { code: 11, why: "the medium cannot be mounted", given: { failing: ["mount"] } },
    {
      code: 12,
      why: "the schema is missing",
      given: { media: { sr1: without("recipe.schema.json") } },
    },
    {
      code: 12,
      why: "the schema is none",
      given: { media: { sr1: withFile("recipe.schema.json", '{"type": 7}') } },
    },
    { code: 13, why: "the envelope is missing", given: { media: { sr1: without("task.json") } } },
    {
      code: 13,
      why: "the envelope is of another version",
      given: { media: { sr1: withFile("task.json", JSON.stringify({ ...ENVELOPE, version: 2 })) } },
    },
    { code: 13, why: "the recipe is missing", given: { media: { sr1: without("recipe.json") } } },
    {
      code: 13,
      why: "the recipe is not JSON",
      given: { media: { sr1: withFile("recipe.json", "{") } },
    },
    {
      code: 14,
      why: "the recipe is invalid",
      given: { media: { sr1: withFile("recipe.json", invalidRecipe) } },
    },
    { code: 15, why: "it cannot write", given: { blocked: true } },
    { code: 16, why: "systemd refuses", given: { failing: ["systemctl"] } },
    { code: 17, why: "it is not root", given: { options: { uid: 1000 } } },
    { code: 18, why: "the server is another", given: { serial: "XF-OTHER" } },
    { code: 18, why: "the server does not say who it is", given: { serial: "" } },
  ])("ends with $code when $why (R29)", async ({ code, given }) => {
    await using ran = await dispatched(given);
    expect(ran.exitCode).toBe(code);
    const hasStarted = ran.calls.some((call) => call.startsWith("systemctl start"));
    expect(hasStarted).toBe(code === 0 || code === 16);
  });

  test.each(["task.json", "recipe.json"])(
    "says that %s is no JSON without quoting what may be secret (R35)",
    async (name) => {
      const media = { sr1: withFile(name, '{"token": CANARY}') };
      await using ran = await dispatched({ media });
      expect(ran.exitCode).toBe(13);
      expect(describeError(ran.error)).toEndWith("it is not JSON");
      expect(ran.controller.logged.join()).not.toContain("CANARY");
    },
  );

  test("ends with 20 for a defect of its own (R29)", () => {
    expect(dispatchExitCode(new TypeError("undefined is not a function"))).toBe(20);
  });

  test("waits for a medium that comes late, and for no more than 120 s (R29)", async () => {
    await using none = await dispatched({ media: {} });
    expect(none.controller.elapsed).toBe(120_000);
    await using late = await agentTree();
    const controller = new FakeController();
    await Bun.write(join(late.paths.sys, "class/dmi/id/product_serial"), ENVELOPE.server_serial);
    await mkdir(late.paths.taskMount, { recursive: true });
    for (const [file, text] of Object.entries(TASK)) {
      await Bun.write(join(late.paths.taskMount, file), text);
    }
    const { sleep } = controller.deps;
    await dispatch(
      {
        paths: late.paths,
        mediumWait: seconds(120),
        noStart: true,
        targetOverride: null,
        version: "1",
        uid: 0,
      },
      {
        ...controller.deps,
        runner: new FakeRunner(),
        async sleep(ms, signal) {
          await sleep(ms, signal);
          if (controller.elapsed === 90_000) {
            await addDevice(late.root, { name: "sr1", volumeId: "TASK_1", bus: "sata" });
          }
        },
      },
    );
    expect(controller.elapsed).toBe(90_000);
  });

  test("writes what the steps read, secrets for root only, and leaves nothing half-written (R30)", async () => {
    await using ran = await dispatched();
    const modes: Record<string, string> = {};
    for (const name of (await readdir(ran.paths.run)).sort()) {
      modes[name] = ((await stat(join(ran.paths.run, name))).mode & 0o777).toString(8);
    }
    expect(modes).toEqual({
      "boot-medium": "644",
      "build-info.txt": "644",
      "layout.json": "644",
      "recipe.env": "600",
      "recipe.json": "600",
      "task.json": "600",
      "user-data": "600",
    });
    expect(await ran.written("recipe.json")).toBe(TASK["recipe.json"] ?? "");
    expect(await ran.written("user-data")).toBe(RECIPE.user_data);
    expect(await ran.written("boot-medium")).toBe("/dev/sr0");
    expect(await ran.written("build-info.txt")).toBe("prov 1.2.3\n");
    expect(JSON.parse(await ran.written("task.json"))).toEqual(ENVELOPE);
    expect(await ran.written("recipe.env")).toBe(
      [
        `JOB_ID=${ENVELOPE.job_id}`,
        "OCI_URL=os-images/debian:13",
        "SERIAL_NUMBER=XF-12345ABC",
        "TARGET_DISK=/dev/sda",
        "TASK_TARGET=install-linux.target",
        "",
      ].join("\n"),
    );
  });

  test("a wrong server leaves its envelope to report with, and no recipe (R36)", async () => {
    await using ran = await dispatched({ serial: "XF-OTHER" });
    expect((await readdir(ran.paths.run)).sort()).toEqual(["steps", "task.json"]);
    const reason = join(ran.paths.run, "steps/provision-dispatcher.service.json");
    expect((await Bun.file(reason).json()).error).toContain('this one is "XF-OTHER"');
    expect(String(ran.error)).toContain(
      'This task is for the server "XF-12345ABC", and this one is "XF-OTHER"',
    );
  });

  test("configures the network before anything else needs it", async () => {
    const network: Envelope["network"] = {
      interfaces: [
        {
          type: "ethernet",
          name: "lan",
          mac: "52:54:00:00:00:01",
          addresses: ["192.0.2.10/24"],
          routes: [{ to: "default", via: "192.0.2.1" }],
        },
      ],
    };
    const media = { sr1: withFile("task.json", JSON.stringify({ ...ENVELOPE, network })) };
    await using ran = await dispatched({ media });
    const files = (await readdir(ran.paths.networkd)).sort();
    expect(files.every((name) => name.startsWith("10-prov-"))).toBe(true);
    const texts = await Promise.all(
      files.map((name) => Bun.file(join(ran.paths.networkd, name)).text()),
    );
    expect(texts.join("")).toContain("Address=192.0.2.10/24");
    expect(ran.calls.map((call) => call.split(" ")[0])).toEqual([
      "mount",
      "udevadm",
      "networkctl",
      "systemctl",
    ]);
    await using failing = await dispatched({ media, failing: ["networkctl"] });
    expect(failing.exitCode).toBe(0);
    expect(failing.controller.logged.join()).toContain("could not configure the network");
  });

  test("tries a medium again that could not be read at first (R29)", async () => {
    await using ran = await dispatched({ hiccups: 5 });
    expect(ran.exitCode).toBe(0);
    await using never = await dispatched({ failing: ["mount"] });
    expect(never.controller.elapsed).toBe(120_000);
  });

  test("goes on to the next medium when the first is no usable task (R29)", async () => {
    await using ran = await dispatched({ media: { sr0: without("task.json"), sr1: TASK } });
    expect(ran.exitCode).toBe(0);
    expect(ran.calls.map((call) => call.replaceAll(ran.root, ""))).toEqual([
      "mount --mkdir --types=iso9660 --options=ro,nosuid,nodev,noexec /dev/sr0 /mnt/task",
      "umount /mnt/task",
      "mount --mkdir --types=iso9660 --options=ro,nosuid,nodev,noexec /dev/sr1 /mnt/task",
      "systemctl start --no-block install-linux.target",
    ]);
  });

  test("checks in, and goes on when nobody hears it", async () => {
    await using ran = await dispatched();
    expect(ran.controller.events).toEqual([{ type: "checked-in", agent_version: "1.2.3" }]);
    expect(ran.controller.asked[0]?.headers.get("x-webhook-secret")).toBe(ENVELOPE.token);
    const deaf = new FakeController(() => undefined);
    await using alone = await dispatched({ controller: deaf });
    expect(alone.exitCode).toBe(0);
    expect(deaf.elapsed).toBeLessThanOrEqual(180_000);
    expect(deaf.logged.join()).toContain("could not check in");
  });

  test("--no-start writes and stops; --target-override starts another target", async () => {
    await using quiet = await dispatched({ options: { noStart: true } });
    expect(quiet.calls.filter((call) => call.startsWith("systemctl"))).toEqual([]);
    expect(quiet.controller.asked).toEqual([]);
    expect(await quiet.written("recipe.json")).not.toBe("");
    await using other = await dispatched({ options: { targetOverride: "emergency.target" } });
    expect(other.calls.at(-1)).toBe("systemctl start --no-block emergency.target");
  });
});
