// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Argv, CommandModule, Options, PositionalOptions } from "yargs";
import type { Clock, Fetch, Sleep } from "../base/deps.ts";
import { ProvError } from "../base/errors.ts";
import type { Terminal } from "./terminal.ts";

/** What the client commands reach for beside the terminal. */
export interface Outside {
  readonly fetch: Fetch;
  readonly now: Clock;
  readonly sleep: Sleep;
}

/** What commands share: the outside, and the exit code they leave. */
export interface Cli extends Outside {
  readonly terminal: Terminal;
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
      // Without a type yargs makes numbers of serials such as 0042.
      for (const [, name = ""] of spec.command.matchAll(/[<[](\w+)(?:\.\.)?[>\]]/g)) {
        y.positional(name, { type: "string", ...spec.positionals?.[name] });
      }
      return y.options({ ...spec.options });
    },
    handler: (args) => {
      requireNumbers(spec, args);
      return spec.run(args as unknown as Args);
    },
  };
}

/** yargs makes NaN of `--limit ten`. @throws {ProvError} `USAGE` */
function requireNumbers<Args>(spec: CommandSpec<Args>, args: Readonly<Record<string, unknown>>) {
  for (const [name, { type }] of Object.entries(spec.options ?? {})) {
    if (type !== "number" || !Number.isNaN(args[name])) continue;
    throw new ProvError(`Cannot use --${name}: it is not a number`, { code: "USAGE" });
  }
}

/** Commands under a common word: `prov server add`, `prov server list`. */
export function group(name: string, describe: string, commands: readonly Command[]): Command {
  const actions = commands.map((each) => String(each.command).split(" ")[0]).join(", ");
  return {
    command: name,
    describe,
    builder: (y: Argv) => {
      for (const each of commands) y.command(each);
      return y
        .usage(`$0 ${name} <action>\n\n${describe}`)
        .demandCommand(1, `Say what to do: prov ${name} ${actions}.`)
        .strict()
        .recommendCommands();
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
