// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeError } from "../../src/base/errors.ts";
import { seconds } from "../../src/base/units.ts";
import { type ActionEvent, type ExecuteDeps, executePlan } from "../../src/exec/execute.ts";
import type { Action, Plan } from "../../src/plan/action.ts";
import { FakeRunner } from "../helpers/fake-runner.ts";

const SIGNAL = new AbortController().signal;

function scratch() {
  const path = mkdtempSync(join(tmpdir(), "prov-execute-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

const noArtifact = () => Promise.reject(new TypeError("there is none"));
const deps = (other: Partial<ExecuteDeps> = {}): ExecuteDeps => ({
  runner: new FakeRunner(),
  openArtifact: noArtifact,
  onEvent: () => {},
  ...other,
});
const run = (...argv: [string, ...string[]]): Action => ({
  kind: "run",
  why: `run ${argv[0]}`,
  argv,
  timeoutMs: seconds(1),
});
const planOf = (...actions: Action[]): Plan => ({ step: "test", actions });
const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

const PROGRAMS = ["wipefs", "sgdisk", "mkfs.vfat", "mkfs.ext4", "mkswap"];

describe("executePlan()", () => {
  test("runs the actions in order and tells of each", async () => {
    const runner = new FakeRunner((command) =>
      command === "sgdisk" ? { stdout: "done\n" } : undefined,
    );
    const events: string[] = [];
    const onEvent = (e: ActionEvent) =>
      events.push(
        e.kind === "line" ? e.text : e.kind === "bytes" ? "bytes" : `${e.kind} ${e.index}`,
      );
    await executePlan(planOf(run("wipefs"), run("sgdisk")), deps({ runner, onEvent }), SIGNAL);
    expect(runner.calls).toEqual(["wipefs", "sgdisk"]);
    expect(events).toEqual(["started 0", "finished 0", "started 1", "done", "finished 1"]);
  });

  test.each(PROGRAMS.map((program, index) => ({ program, index })))(
    "stops when $program fails, names it, and runs nothing after (R41)",
    async ({ program, index }) => {
      const runner = new FakeRunner((command) =>
        command === program ? { exitCode: 1, stderr: "no" } : undefined,
      );
      const finished: number[] = [];
      const onEvent = (e: ActionEvent) => e.kind === "finished" && finished.push(e.index);
      const plan = planOf(...PROGRAMS.map((p) => run(p)));
      const error = await rejection(executePlan(plan, deps({ runner, onEvent }), SIGNAL));
      expect(error).toMatchObject({ code: "COMMAND_FAILED" });
      expect(describeError(error)).toBe(
        `Cannot run ${program}: Command exited with 1: ${program}: no`,
      );
      expect(runner.calls).toEqual(PROGRAMS.slice(0, index + 1));
      expect(finished).toEqual([...Array(index).keys()]);
    },
  );

  test("runs nothing once it is aborted", async () => {
    const runner = new FakeRunner();
    const aborted = AbortSignal.abort(new Error("canceled"));
    const error = await rejection(executePlan(planOf(run("sgdisk")), deps({ runner }), aborted));
    expect(describeError(error)).toBe("canceled");
    expect(runner.calls).toEqual([]);
  });

  test("says what it was at when it was stopped", async () => {
    const stop = new AbortController();
    const runner = new FakeRunner(() => {
      stop.abort(new Error("Stopped by SIGTERM"));
      return { exitCode: 137, stderr: "Killed" };
    });
    const plan = planOf(run("sgdisk"));
    const error = await rejection(executePlan(plan, deps({ runner }), stop.signal));
    expect(describeError(error)).toBe("Cannot run sgdisk: Stopped by SIGTERM");
  });

  test("writes a file whole, with its mode and the directories above it", async () => {
    using dir = scratch();
    const path = join(dir.path, "etc/prov/image.json");
    const write = (text: string): Action => ({
      kind: "write",
      why: "note",
      root: dir.path,
      path,
      text,
      mode: 0o640,
    });
    await executePlan(planOf(write("a longer text"), write("short")), deps(), SIGNAL);
    expect(readFileSync(path, "utf8")).toBe("short");
    expect((statSync(path).mode & 0o777).toString(8)).toBe("640");
  });

  test("replaces a link instead of writing through it", async () => {
    using dir = scratch();
    const outside = join(dir.path, "outside");
    const path = join(dir.path, "link");
    writeFileSync(outside, "untouched");
    symlinkSync(outside, path);
    const plan = planOf({
      kind: "write",
      why: "write",
      root: dir.path,
      path,
      text: "new",
      mode: 0o644,
    });
    await executePlan(plan, deps(), SIGNAL);
    expect(readFileSync(outside, "utf8")).toBe("untouched");
    expect(readFileSync(path, "utf8")).toBe("new");
  });

  test("copies secrets byte for byte, or decoded, for their owner alone", async () => {
    using dir = scratch();
    const from = join(dir.path, "user-data");
    const to = join(dir.path, "out");
    const copy = (decode: "none" | "base64"): Action => ({
      kind: "copy",
      why: "copy the user data",
      root: dir.path,
      from,
      to,
      mode: 0o600,
      decode,
    });
    writeFileSync(from, new Uint8Array([0, 255, 10, 13]));
    await executePlan(planOf(copy("none")), deps(), SIGNAL);
    expect([...readFileSync(to)]).toEqual([0, 255, 10, 13]);
    expect((statSync(to).mode & 0o777).toString(8)).toBe("600");
    writeFileSync(from, "IyEvYmlu\nL3NoCg==\n");
    await executePlan(planOf(copy("base64")), deps(), SIGNAL);
    expect(readFileSync(to, "utf8")).toBe("#!/bin/sh\n");
  });

  test("says what could not be written", async () => {
    using dir = scratch();
    writeFileSync(join(dir.path, "file"), "");
    const path = join(dir.path, "file/below");
    const plan = planOf({
      kind: "write",
      why: "list the mounts",
      root: dir.path,
      path,
      text: "x",
      mode: 0o644,
    });
    const error = await rejection(executePlan(plan, deps(), SIGNAL));
    expect(error).toMatchObject({ code: "COMMAND_FAILED", message: "Cannot list the mounts" });
  });

  describe("in a tree whose links lead out of it", () => {
    /** An image with `/boot` and `/etc` as absolute links, one of them dangling, and a trap for temporary files. */
    function image() {
      const dir = scratch();
      const root = join(dir.path, "root");
      const outside = join(dir.path, "outside");
      mkdirSync(join(root, "usr/etc"), { recursive: true });
      mkdirSync(outside);
      symlinkSync("/usr/etc", join(root, "etc"));
      symlinkSync(outside, join(root, "boot"));
      symlinkSync("../../../../outside", join(root, "up"));
      symlinkSync(join(outside, "caught"), join(root, "usr/etc/fstab.new"));
      return { ...dir, root, outside };
    }

    test("directories, files and copies stay inside", async () => {
      using dir = image();
      const { root } = dir;
      const from = join(dir.path, "secret");
      writeFileSync(from, "secret");
      const at = (path: string) => ({ root, path: join(root, path) });
      const actions: Action[] = [
        { kind: "mkdir", why: "make it", ...at("boot/efi") },
        { kind: "mkdir", why: "make it", ...at("up/there") },
        { kind: "write", why: "list mounts", ...at("etc/fstab"), text: "x", mode: 0o644 },
        {
          kind: "copy",
          why: "copy",
          root,
          from,
          to: join(root, "boot/seed"),
          mode: 0o600,
          decode: "none",
        },
      ];
      await executePlan(planOf(...actions), deps(), SIGNAL);
      expect(readdirSync(dir.outside)).toEqual([]);
      expect(readFileSync(join(root, "usr/etc/fstab"), "utf8")).toBe("x");
      expect(readFileSync(join(root, dir.outside, "seed"), "utf8")).toBe("secret");
      expect(statSync(join(root, dir.outside, "efi")).isDirectory()).toBe(true);
      expect(statSync(join(root, "outside/there")).isDirectory()).toBe(true);
    });

    test("programs get the paths that the links lead to", async () => {
      using dir = image();
      const { root } = dir;
      const runner = new FakeRunner();
      const mount = { ...run("mount", "/dev/sda1", join(root, "etc")), root };
      await executePlan(planOf(mount), deps({ runner }), SIGNAL);
      expect(runner.calls).toEqual([`mount /dev/sda1 ${root}/usr/etc`]);
      const missing = { ...run("mount", "/dev/sda1", join(root, "boot/efi")), root };
      const error = await rejection(executePlan(planOf(missing), deps({ runner }), SIGNAL));
      expect(describeError(error)).toBe(`Cannot run mount: There is no ${root}/boot/efi`);
    });
  });

  test("requires one of several paths", async () => {
    using dir = scratch();
    const requires = (...anyOf: string[]): Action => ({
      kind: "require",
      why: "make sure that it has a kernel",
      root: dir.path,
      anyOf,
      missing: "the artifact has no kernel",
    });
    writeFileSync(join(dir.path, "vmlinuz-6.12"), "");
    await executePlan(planOf(requires("boot/vmlinuz*", "vmlinuz-*")), deps(), SIGNAL);
    const error = await rejection(executePlan(planOf(requires("boot/vmlinuz*")), deps(), SIGNAL));
    expect(error).toMatchObject({ code: "ARTIFACT_INVALID" });
    expect(describeError(error)).toBe(
      "Cannot make sure that it has a kernel: the artifact has no kernel",
    );
  });

  test("unpacks the artifact and counts its bytes (R39)", async () => {
    using dir = scratch();
    writeFileSync(join(dir.path, "hello"), "hello");
    const made = Bun.spawnSync(["tar", "--create", "--gzip", "--file=-", "-C", dir.path, "hello"]);
    const bytes = new Uint8Array(made.stdout);
    const into = mkdtempSync(join(dir.path, "out-"));
    const events: ActionEvent[] = [];
    await executePlan(
      planOf({
        kind: "unpack",
        why: "unpack debian:13",
        artifact: "debian:13",
        into,
        compression: "auto",
        timeoutMs: seconds(10),
      }),
      deps({
        openArtifact: () =>
          Promise.resolve({ stream: new Blob([bytes]).stream(), size: bytes.length }),
        onEvent: (e) => events.push(e),
      }),
      SIGNAL,
    );
    expect(readFileSync(join(into, "hello"), "utf8")).toBe("hello");
    const last = events.filter((e) => e.kind === "bytes").at(-1);
    expect(last).toEqual({ kind: "bytes", done: bytes.length, total: bytes.length });
  });
});
