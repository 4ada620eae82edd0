// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import type { Millis } from "../base/units.ts";
import { formatDuration } from "../base/units.ts";
import type { Argv } from "../plan/action.ts";
import { shellQuote } from "../plan/render.ts";

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly timeout: Millis;
  readonly signal?: AbortSignal;
  /** Called with every line of output as it comes: for the journal. */
  readonly onLine?: (line: string) => void;
}

/** The only door to other programs. Rejects only when a program could not be run to its end. */
export interface CommandRunner {
  /** @throws {ProvError} `COMMAND_FAILED` when it cannot be started, `COMMAND_TIMED_OUT` */
  run(argv: Argv, options: RunOptions): Promise<CommandResult>;
}

/** The environment of every child: the C locale, because output that we parse must not be translated. */
export const CHILD_ENV = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };

/** Enough of an output to name the cause, not enough to flood a job's events. */
const ERROR_TAIL_CHARS = 1024;

/** Turns a non-zero exit into an error that shows the command and the end of what it complained. */
export function expectSuccess(argv: Argv, result: CommandResult): CommandResult {
  if (result.exitCode === 0) return result;
  const complaint = result.stderr.trim() || result.stdout.trim();
  throw new ProvError(`Command exited with ${result.exitCode}: ${renderArgv(argv)}`, {
    code: /No space left on device/.test(complaint) ? "DISK_FULL" : "COMMAND_FAILED",
    cause: complaint.slice(-ERROR_TAIL_CHARS) || "it printed nothing",
  });
}

const renderArgv = (argv: Argv): string => argv.map(shellQuote).join(" ");

export const bunRunner: CommandRunner = { run };

async function run(argv: Argv, options: RunOptions): Promise<CommandResult> {
  options.signal?.throwIfAborted();
  const child = spawn(argv);
  let timedOut = false;
  // The whole group: a program's own children must not outlive it.
  const kill = () => killGroup(child.pid);
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, options.timeout);
  options.signal?.addEventListener("abort", kill, { once: true });
  try {
    const [stdout, stderr, exitCode] = await Promise.all([
      collect(child.stdout, options.onLine),
      collect(child.stderr, options.onLine),
      child.exited,
    ]);
    options.signal?.throwIfAborted();
    if (timedOut) {
      const after = formatDuration(options.timeout);
      throw new ProvError(`Command was killed after ${after}: ${renderArgv(argv)}`, {
        code: "COMMAND_TIMED_OUT",
        cause: stderr.trim().slice(-ERROR_TAIL_CHARS) || "it printed nothing",
      });
    }
    return { exitCode, stdout, stderr };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", kill);
  }
}

function spawn(argv: Argv) {
  try {
    return Bun.spawn([...argv], {
      env: CHILD_ENV,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      detached: true,
    });
  } catch (error) {
    throw new ProvError(`Cannot start ${argv[0]}`, {
      code: "COMMAND_FAILED",
      cause: error,
      hint: "The program is missing from the image that this step runs in.",
    });
  }
}

/** SIGKILL for a process and all it started. The group is gone already when it has just ended. */
export function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // ESRCH: nothing is left to kill.
  }
}

/** Output is kept up to this size; a program that prints more is not one whose output we parse. */
const OUTPUT_CHARS = 8 * 1024 * 1024;

async function collect(
  stream: ReadableStream<Uint8Array>,
  onLine: ((line: string) => void) | undefined,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let line = "";
  for await (const chunk of stream) {
    const piece = decoder.decode(chunk, { stream: true });
    text = (text + piece).slice(-OUTPUT_CHARS);
    if (onLine === undefined) continue;
    const lines = (line + piece).split(/\r?\n|\r/);
    line = lines.pop() ?? "";
    for (const each of lines) onLine(each);
  }
  if (line !== "") onLine?.(line);
  return text;
}
