// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { describeError } from "../../src/base/errors.ts";
import { seconds } from "../../src/base/units.ts";
import { bunRunner, expectSuccess } from "../../src/exec/runner.ts";
import type { Argv } from "../../src/plan/action.ts";

const sh = (script: string): Argv => ["sh", "-c", script];
const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe("bunRunner", () => {
  test("returns output and exit code of a real program", async () => {
    const result = await bunRunner.run(sh("echo out; echo err >&2; exit 3"), {
      timeout: seconds(5),
    });
    expect(result).toEqual({ exitCode: 3, stdout: "out\n", stderr: "err\n" });
  });

  test("gives programs a fixed environment, no input, and no shell", async () => {
    const options = { timeout: seconds(5) };
    expect((await bunRunner.run(["env"], options)).stdout.split("\n").sort()).toEqual([
      "",
      "LC_ALL=C",
      "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    ]);
    expect((await bunRunner.run(["cat"], options)).stdout).toBe("");
    expect((await bunRunner.run(["echo", "$HOME; `id`"], options)).stdout).toBe("$HOME; `id`\n");
  });

  test("hands on whole lines as they come", async () => {
    const lines: string[] = [];
    await bunRunner.run(sh("printf 'a\\nb'; sleep 0.05; printf 'c\\r50%%\\r100%%\\nend'"), {
      timeout: seconds(5),
      onLine: (line) => lines.push(line),
    });
    expect(lines).toEqual(["a", "bc", "50%", "100%", "end"]);
  });

  test("kills a program when its time is over, and shows what it had to say", async () => {
    const running = bunRunner.run(sh("echo started >&2; sleep 60"), { timeout: seconds(0.3) });
    const error = await rejection(running);
    expect(error).toMatchObject({
      code: "COMMAND_TIMED_OUT",
      message: "Command was killed after 300 ms: sh -c 'echo started >&2; sleep 60'",
    });
  });

  test("kills all that a program has started", async () => {
    const abort = new AbortController();
    let pid = "";
    const running = bunRunner.run(sh("sh -c 'echo $$; exec sleep 60' & wait"), {
      timeout: seconds(60),
      signal: abort.signal,
      onLine: (line) => {
        pid = line;
        abort.abort(new Error("canceled"));
      },
    });
    expect(describeError(await rejection(running))).toBe("canceled");
    // A killed process may stay as a zombie until its new parent has looked.
    const stat = `/proc/${pid}/stat`;
    const state = existsSync(stat) ? readFileSync(stat, "utf8").split(" ")[2] : "gone";
    expect(["gone", "Z", "X"]).toContain(state ?? "");
  });

  test("ends with the signal's reason when it is aborted", async () => {
    const abort = new AbortController();
    const running = bunRunner.run(["sleep", "60"], { timeout: seconds(60), signal: abort.signal });
    abort.abort(new Error("canceled"));
    expect(describeError(await rejection(running))).toBe("canceled");
    const never = bunRunner.run(["sleep", "60"], { timeout: seconds(60), signal: abort.signal });
    expect(describeError(await rejection(never))).toBe("canceled");
  });

  test("says which program is missing", async () => {
    const error = await rejection(bunRunner.run(["mkfs.nothing"], { timeout: seconds(5) }));
    expect(error).toMatchObject({
      code: "COMMAND_FAILED",
      message: "Cannot start mkfs.nothing",
      hint: "The program is missing from the image that this step runs in.",
    });
  });
});

describe("expectSuccess()", () => {
  test.each([
    {
      result: { exitCode: 4, stdout: "x", stderr: "Problem opening /dev/vda\n" },
      code: "COMMAND_FAILED",
      text: "Command exited with 4: sgdisk '--change-name=1:my disk': Problem opening /dev/vda",
    },
    {
      result: { exitCode: 1, stdout: "only here\n", stderr: "" },
      code: "COMMAND_FAILED",
      text: "Command exited with 1: sgdisk '--change-name=1:my disk': only here",
    },
    {
      result: { exitCode: 1, stdout: "", stderr: "write error: No space left on device" },
      code: "DISK_FULL",
      text: "Command exited with 1: sgdisk '--change-name=1:my disk': write error: No space left on device",
    },
  ])("shows command and complaint: $text", ({ result, code, text }) => {
    let caught: unknown;
    try {
      expectSuccess(["sgdisk", "--change-name=1:my disk"], result);
    } catch (error) {
      caught = error;
    }
    expect(caught).toMatchObject({ code });
    expect(describeError(caught)).toBe(text);
  });
});
