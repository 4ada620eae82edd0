// SPDX-License-Identifier: AGPL-3.0-or-later
import type { CommandModule } from "yargs";
import type { Fetch } from "../base/deps.ts";
import type { Terminal } from "./terminal.ts";

/** What commands share: the outside, and the exit code they leave. */
export interface Cli {
  readonly terminal: Terminal;
  readonly fetch: Fetch;
  exitCode: number;
}

// yargs types a command by its options; a list of commands has none in common.
// biome-ignore lint/suspicious/noExplicitAny: see above; each command types its own options.
export type Command = CommandModule<any, any>;

/** Prints `value` as JSON for programs, or what `render` makes of it for people. */
export function print(
  cli: Cli,
  json: boolean | undefined,
  value: unknown,
  render: () => string,
): void {
  cli.terminal.out(json === true ? JSON.stringify(value, null, 2) : render());
}
