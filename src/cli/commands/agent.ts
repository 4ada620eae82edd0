// SPDX-License-Identifier: AGPL-3.0-or-later
/** The commands that units of the maintenance OS call. People see them in `prov --help` for diagnosis. */
import { hostname } from "node:os";
import { realSleep } from "../../base/deps.ts";
import { describeError } from "../../base/errors.ts";
import { seconds } from "../../base/units.ts";
import { dispatch } from "../../dispatcher/dispatch.ts";
import { dispatchExitCode } from "../../dispatcher/exit.ts";
import { agentPaths } from "../../dispatcher/paths.ts";
import { report } from "../../dispatcher/report.ts";
import { runStep } from "../../dispatcher/step.ts";
import { probeMachine } from "../../exec/probe.ts";
import { bunRunner } from "../../exec/runner.ts";
import { type Cli, type Command, command } from "../command.ts";
import { EXIT } from "../exit.ts";
import { journalLog } from "../journal-log.ts";
import { VERSION } from "../version.ts";

interface DispatchArgs {
  udevWaitSeconds: number;
  start: boolean;
  targetOverride?: string;
}

export function agentCommands(cli: Cli): readonly Command[] {
  return [dispatchCommand(cli), stepCommand(cli), reportCommand(cli), factsCommand(cli)];
}

function dependencies(cli: Cli) {
  const log = journalLog(cli.terminal);
  return { runner: bunRunner, fetch: cli.fetch, now: Date.now, sleep: realSleep, log };
}

function dispatchCommand(cli: Cli): Command {
  return command<DispatchArgs>({
    command: "dispatch",
    describe: "agent: find the task and start its workflow",
    options: {
      "udev-wait-seconds": { type: "number", default: 120, describe: "wait for a task medium" },
      start: { type: "boolean", default: true, describe: "--no-start writes everything and stops" },
      "target-override": { type: "string", describe: "start this target instead" },
    },
    run: async (args) => {
      try {
        await dispatch(
          {
            paths: agentPaths(),
            mediumWait: seconds(args.udevWaitSeconds),
            noStart: !args.start,
            targetOverride: args.targetOverride ?? null,
            version: VERSION,
            uid: cli.terminal.uid,
          },
          dependencies(cli),
        );
      } catch (error) {
        cli.exitCode = dispatchExitCode(error);
        throw error;
      }
    },
  });
}

function stepCommand(cli: Cli): Command {
  return command<{ name: string }>({
    command: "step <name>",
    describe: "agent: plan and execute one step of the workflow",
    run: async (args) => {
      const deps = dependencies(cli);
      await runStep(args.name, agentPaths(), deps, cli.terminal.asked);
    },
  });
}

function factsCommand(cli: Cli): Command {
  return command({
    command: "facts",
    describe: "what planners may know of this machine, for prov plan --facts",
    run: async () => {
      const facts = await probeMachine({ runner: bunRunner, bootEntries: false });
      cli.terminal.out(JSON.stringify(facts, null, 2));
    },
  });
}

interface ReportArgs {
  outcome: "success" | "failure";
  unit?: string;
}

function reportCommand(cli: Cli): Command {
  return command<ReportArgs>({
    command: "report <outcome> [unit]",
    describe: "agent: tell the controller how the task ended",
    positionals: {
      outcome: { choices: ["success", "failure"] },
      unit: { type: "string" },
    },
    options: { workflow: { type: "string", describe: "the target that succeeded" } },
    run: async (args) => {
      const unit = args.unit ?? "unknown.service";
      const serviceResult = cli.terminal.env.MONITOR_SERVICE_RESULT;
      const result = await report(
        args.outcome === "success"
          ? { outcome: "success" }
          : { outcome: "failure", unit, serviceResult },
        agentPaths(),
        { ...dependencies(cli), uuid: () => crypto.randomUUID() },
      ).catch((error: unknown) => {
        cli.exitCode = EXIT.failed;
        cli.terminal.err(`${hostname()}: the report was not delivered: ${describeError(error)}`);
        throw error;
      });
      cli.terminal.out(
        `report ${args.outcome}${args.outcome === "failure" ? ` of ${unit}` : ""}: ${result}`,
      );
    },
  });
}
