// SPDX-License-Identifier: AGPL-3.0-or-later
import type { CommandResult, CommandRunner, RunOptions } from "../../src/exec/runner.ts";
import type { Argv } from "../../src/plan/action.ts";

/**
 * Answers each command through `reply` and remembers what was asked. A program without an answer
 * succeeds silently, as sgdisk and mkfs do.
 */
export class FakeRunner implements CommandRunner {
  readonly calls: string[] = [];
  readonly #reply: (command: string) => Partial<CommandResult> | undefined;

  constructor(reply: (command: string) => Partial<CommandResult> | undefined = () => undefined) {
    this.#reply = reply;
  }

  run(argv: Argv, options: RunOptions): Promise<CommandResult> {
    const command = argv.join(" ");
    this.calls.push(command);
    const result = { exitCode: 0, stdout: "", stderr: "", ...this.#reply(command) };
    for (const line of result.stdout.split("\n").filter((l) => l !== "")) options.onLine?.(line);
    return Promise.resolve(result);
  }
}
