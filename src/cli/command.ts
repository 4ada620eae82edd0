// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Argv, CommandModule, Options, PositionalOptions } from "yargs";
import type { Fetch } from "../base/deps.ts";
import type { Terminal } from "./terminal.ts";

/** What commands share: the outside, and the exit code they leave. */
export interface Cli {
  readonly terminal: Terminal;
  readonly fetch: Fetch;
  exitCode: number;
}

export type Command = CommandModule;

export interface CommandSpec<Args> {
  /** Name and positional arguments, as yargs writes them: `show <id>`. */
  readonly command: string;
  readonly describe: string;
  readonly positionals?: Readonly<Record<string, PositionalOptions>>;
  readonly options?: Readonly<Record<string, Options>>;
  readonly run: (args: Args) => void | Promise<void>;
}

/** One command. yargs has checked the arguments against the options when `run` sees them. */
export function command<Args>(spec: CommandSpec<Args>): Command {
  return {
    command: spec.command,
    describe: spec.describe,
    builder: (y: Argv) => {
      for (const [name, options] of Object.entries(spec.positionals ?? {})) {
        y.positional(name, options);
      }
      return y.options({ ...spec.options });
    },
    handler: (args) => spec.run(args as unknown as Args),
  };
}

/** Commands under a common word: `prov server add`, `prov server list`. */
export function group(name: string, describe: string, commands: readonly Command[]): Command {
  return {
    command: `${name} <action>`,
    describe,
    builder: (y: Argv) => {
      for (const each of commands) y.command(each);
      return y.demandCommand(1).strict();
    },
    handler: () => {},
  };
}

/** Prints `value` as JSON for programs, or what `render` makes of it for people. */
export function print(
  cli: Cli,
  json: boolean | undefined,
  value: unknown,
  render: () => string,
): void {
  cli.terminal.out(json === true ? JSON.stringify(value, null, 2) : render());
}
