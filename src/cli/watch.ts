// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Follows a job on a terminal. It asks again every second instead of holding a stream, so that it goes on
 * as if nothing had happened when the controller is restarted meanwhile.
 */
import { describeError, ProvError } from "../base/errors.ts";
import { arrayAt, at, stringAt } from "../base/json.ts";
import { formatBytes, formatDuration, seconds } from "../base/units.ts";
import { connect } from "./api-client.ts";
import type { Cli } from "./command.ts";
import { EXIT } from "./exit.ts";
import { printable } from "./printable.ts";
import { formatTime, progressBar } from "./table.ts";

const INTERVAL = seconds(1);
/** A controller that is being restarted or upgraded is back well within this. */
const PATIENCE = seconds(120);

/** Prints events as they come and the running step's progress, until the job is complete. */
export async function watchJob(id: string, cli: Cli, json: boolean | undefined): Promise<void> {
  const { terminal } = cli;
  const render = json === true ? (event: unknown) => JSON.stringify(event) : renderEvent;
  const ask = await asker(id, cli);
  let seen = 0;
  for (;;) {
    const job = await ask();
    const fresh = arrayAt(job, "events").filter((event) => Number(at(event, "seq")) > seen);
    for (const event of fresh) terminal.out(render(event));
    seen = Number(at(fresh.at(-1), "seq") ?? seen);
    if (stringAt(job, "status") === "complete") {
      if (json !== true) terminal.out(renderEnd(job));
      cli.exitCode = exitCodeOfJob(job);
      return;
    }
    if (terminal.isInteractive && job !== undefined) terminal.redraw(renderProgress(job));
    await cli.sleep(INTERVAL, terminal.signal);
  }
}

/**
 * Reads the job; undefined while a controller that once answered has been away for no longer than our
 * patience. The job goes on without us meanwhile, and its events are kept.
 */
async function asker(id: string, cli: Cli): Promise<() => Promise<unknown>> {
  const api = await connect(cli);
  let lastAnswer: number | undefined;
  let isAway = false;
  return async () => {
    try {
      const job = await api.call("GET", `/api/v1/jobs/${encodeURIComponent(id)}`);
      lastAnswer = cli.now();
      isAway = false;
      return job;
    } catch (error) {
      const mayComeBack =
        error instanceof ProvError &&
        error.code === "CONTROLLER_UNREACHABLE" &&
        lastAnswer !== undefined &&
        cli.now() - lastAnswer < PATIENCE;
      if (!mayComeBack) throw error;
      if (!isAway) {
        const patience = formatDuration(PATIENCE);
        cli.terminal.err(`${describeError(error)}; trying for ${patience}`);
      }
      isAway = true;
      return undefined;
    }
  };
}

/** `04:33:12  image-linux.service  unpacking os-images/debian:13`; warnings and errors say so. */
export function renderEvent(event: unknown): string {
  const time = formatTime(at(event, "time")).slice(11);
  const level = stringAt(event, "level") ?? "info";
  const step = stringAt(event, "step");
  const message = stringAt(event, "message") ?? "";
  const words = [
    time,
    ...(level === "info" ? [] : [level.toUpperCase()]),
    ...(step ? [step] : []),
    message,
  ];
  // Much of it is what programs on the server have said.
  return printable(words.join("  "));
}

function renderProgress(job: unknown): string {
  const step = stringAt(job, "progress", "step");
  const phase = stringAt(job, "phase") ?? stringAt(job, "status") ?? "";
  if (step === undefined) return phase;
  const done = at(job, "progress", "bytes_done");
  const total = at(job, "progress", "bytes_total");
  if (typeof done !== "number") return step;
  if (typeof total !== "number") return `${step}  ${formatBytes(done)}`;
  return `${step}  ${progressBar(done, total, 30)}  ${formatBytes(done)} of ${formatBytes(total)}`;
}

function renderEnd(job: unknown): string {
  const outcome = stringAt(job, "outcome") ?? "unknown";
  const failedStep = stringAt(job, "failed_step");
  const error = stringAt(job, "error");
  if (failedStep === undefined) return `complete: ${outcome}`;
  return printable(
    `complete: ${outcome} in ${failedStep}${error === undefined ? "" : `: ${error}`}`,
  );
}

/** 0 while a job is not complete. */
export function exitCodeOfJob(job: unknown): number {
  const outcome = stringAt(job, "outcome");
  if (outcome === "failed") return EXIT.jobFailed;
  return outcome === "canceled" ? EXIT.jobCanceled : EXIT.ok;
}
