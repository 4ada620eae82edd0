// SPDX-License-Identifier: AGPL-3.0-or-later
import yargs from "yargs";
import { realSleep } from "../base/deps.ts";
import { describeError, hintOf, ProvError } from "../base/errors.ts";
import { type Cli, command, type Outside, print } from "./command.ts";
import { agentCommands } from "./commands/agent.ts";
import { artifactCommand } from "./commands/artifact.ts";
import { isoCommand } from "./commands/iso.ts";
import { jobCommand } from "./commands/job.ts";
import { labCommand } from "./commands/lab.ts";
import { planCommand } from "./commands/plan.ts";
import { registryCommand } from "./commands/registry.ts";
import { robotCommand } from "./commands/robot.ts";
import { serveCommand } from "./commands/serve.ts";
import { serverCommand } from "./commands/server.ts";
import { userCommand } from "./commands/user.ts";
import { EXIT, EXIT_CODES_HELP, exitCodeOf } from "./exit.ts";
import { STDIN } from "./files.ts";
import { printable } from "./printable.ts";
import type { Terminal } from "./terminal.ts";
import { COMMIT, VERSION } from "./version.ts";

const OUTSIDE: Outside = { fetch, now: Date.now, sleep: realSleep };

/**
 * Runs one command line to its end. Never exits the process and never writes but to the terminal.
 * @returns the exit code; see exit.ts.
 */
export async function main(
  argv: readonly string[],
  terminal: Terminal,
  outside: Outside = OUTSIDE,
): Promise<number> {
  const cli: Cli = { ...outside, terminal, exitCode: EXIT.ok };
  try {
    // yargs understands no lone dash, neither as a word nor behind an option.
    const words = argv.map((word) => (word === "-" ? STDIN : word));
    await parserOf(words, cli).parseAsync([...words], {}, (_error, _argv, output) => {
      if (output !== "") terminal.out(output);
    });
    return cli.exitCode;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return EXIT.failed;
    terminal.err(printable(`prov: ${describeError(error)}`));
    const hint = hintOf(error);
    if (hint !== undefined) terminal.err(printable(`  ${hint}`));
    return cli.exitCode === EXIT.ok ? exitCodeOf(error) : cli.exitCode;
  }
}

function parserOf(argv: readonly string[], cli: Cli) {
  const parser = yargs([...argv])
    .scriptName("prov")
    .locale("en")
    .usage("prov installs operating systems on bare metal over plain IP.\n\nUsage: $0 <command>")
    .option("json", { type: "boolean", global: true, describe: "print JSON, for programs" })
    .command(serveCommand(cli))
    .command(serverCommand(cli))
    .command(artifactCommand(cli))
    .command(registryCommand(cli))
    .command(jobCommand(cli))
    .command(planCommand(cli))
    .command(isoCommand(cli))
    .command(userCommand(cli))
    .command(robotCommand(cli))
    .command(labCommand(cli));
  for (const each of agentCommands(cli)) parser.command(each);
  return parser
    .command(versionCommand(cli))
    .completion("completion", "print a completion script for your shell")
    .version(VERSION)
    .epilogue(EXIT_CODES_HELP)
    .demandCommand(1, "Say which command to run.")
    .strict()
    .recommendCommands()
    .updateStrings({ "Did you mean %s?": "There is no such command: did you mean %s?" })
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new ProvError(message, { code: "USAGE", hint: "See prov --help." });
    });
}

function versionCommand(cli: Cli) {
  return command<{ json?: boolean }>({
    command: "version",
    describe: "print the version",
    run: ({ json }) => print(cli, json, { version: VERSION, commit: COMMIT }, () => VERSION),
  });
}
