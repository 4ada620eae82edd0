// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
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

  test("writes a file whole, with its mode and the directories above it", async () => {
    using dir = scratch();
    const path = join(dir.path, "etc/prov/image.json");
    const write = (text: string): Action => ({
      kind: "write",
      why: "note",
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
    const { symlinkSync } = await import("node:fs");
    symlinkSync(outside, path);
    const plan = planOf({ kind: "write", why: "write", path, text: "new", mode: 0o644 });
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
    const plan = planOf({ kind: "write", why: "list the mounts", path, text: "x", mode: 0o644 });
    const error = await rejection(executePlan(plan, deps(), SIGNAL));
    expect(error).toMatchObject({ code: "COMMAND_FAILED", message: "Cannot list the mounts" });
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
