// SPDX-License-Identifier: AGPL-3.0-or-later
import yargs from "yargs";
import { describeError, hintOf, ProvError } from "../base/errors.ts";
import { type Cli, command } from "./command.ts";
import { agentCommands } from "./commands/agent.ts";
import { artifactCommand } from "./commands/artifact.ts";
import { isoCommand } from "./commands/iso.ts";
import { jobCommand } from "./commands/job.ts";
import { labCommand } from "./commands/lab.ts";
import { planCommand } from "./commands/plan.ts";
import { serveCommand } from "./commands/serve.ts";
import { serverCommand } from "./commands/server.ts";
import { userCommand } from "./commands/user.ts";
import { EXIT, exitCodeOf } from "./exit.ts";
import type { Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

/** Runs one command line to its end. Never exits the process and never writes but to the terminal. */
export async function main(argv: readonly string[], terminal: Terminal): Promise<number> {
  const cli: Cli = { terminal, fetch, exitCode: EXIT.ok };
  const parser = yargs([...argv])
    .scriptName("prov")
    .locale("en")
    .usage("prov installs operating systems on bare metal over plain IP.\n\nUsage: $0 <command>")
    .option("json", { type: "boolean", global: true, describe: "print JSON, for programs" })
    .command(serveCommand(cli))
    .command(serverCommand(cli))
    .command(artifactCommand(cli))
    .command(jobCommand(cli))
    .command(planCommand(cli))
    .command(isoCommand(cli))
    .command(userCommand(cli))
    .command(labCommand(cli));
  for (const command of agentCommands(cli)) parser.command(command);
  parser
    .command(
      command({
        command: "version",
        describe: "print the version",
        run: () => terminal.out(VERSION),
      }),
    )
    .completion("completion", "print a completion script for your shell")
    .version(VERSION)
    .demandCommand(1, "Say which command to run.")
    .strict()
    .recommendCommands()
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new ProvError(message, { code: "USAGE" });
    });
  try {
    await parser.parseAsync([...argv], {}, (_error, _argv, output) => {
      if (output !== "") terminal.out(output);
    });
    return cli.exitCode;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return EXIT.failed;
    terminal.err(`prov: ${describeError(error)}`);
    const hint = hintOf(error);
    if (hint !== undefined) terminal.err(`  ${hint}`);
    if (error instanceof ProvError && error.code === "USAGE") terminal.err("  See prov --help.");
    return cli.exitCode === EXIT.ok ? exitCodeOf(error) : cli.exitCode;
  }
}
