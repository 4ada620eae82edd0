// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * `prov report`: the one status report of a task. systemd calls it for the success of the last unit and for
 * every failed one; the first cause is latched in a file, and only that is sent, until it is received.
 */
import { link, readFile, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ProvError } from "../base/errors.ts";
import { isObject } from "../base/json.ts";
import { type Millis, minutes } from "../base/units.ts";
import type { CommandRunner } from "../exec/runner.ts";
import type { Envelope } from "../jobs/envelope.ts";
import type { StatusReport } from "../webhook/report.ts";
import { type ClientDeps, postToController } from "./controller-client.ts";
import { readEnvelopeFile } from "./envelope-file.ts";
import { guessFailure, readFailure } from "./failure.ts";
import type { AgentPaths } from "./paths.ts";

export type ReportRequest =
  | { readonly outcome: "success" }
  | {
      readonly outcome: "failure";
      readonly unit: string;
      /**
       * `MONITOR_SERVICE_RESULT` (systemd.exec(5)). "success" for a unit that never ran because one
       * before it failed: systemd calls its OnFailure= too.
       */
      readonly serviceResult: string | undefined;
    };

export interface ReportDeps extends ClientDeps {
  readonly uuid: () => string;
  /** To ask the journal about a unit that left no reason. */
  readonly runner?: CommandRunner;
}

export type ReportOutcome = "delivered" | "not-the-cause" | "already-reported" | "nobody-to-tell";

/** A site whose controller is down for a day is still told. The unit's restart covers a crash of ours. */
const PATIENCE: Millis = minutes(24 * 60);

/** @throws {ProvError} `CONTROLLER_UNREACHABLE`, `FORBIDDEN` when the report could not be delivered. */
export async function report(
  request: ReportRequest,
  paths: AgentPaths,
  deps: ReportDeps,
): Promise<ReportOutcome> {
  if (request.outcome === "failure" && request.serviceResult === "success") return "not-the-cause";
  const envelope = await readEnvelope(paths);
  if (envelope === undefined) return "nobody-to-tell";

  const latched = await latch(paths, await describe(request, envelope, paths, deps), deps);
  if (latched === undefined) return "already-reported";
  await postToController(
    envelope,
    `/api/v1/status-webhook/${encodeURIComponent(envelope.server_serial)}`,
    latched,
    { patience: PATIENCE },
    deps,
  );
  await writeFile(join(paths.run, "outcome.delivered"), `${latched.delivery_id}\n`);
  return "delivered";
}

async function readEnvelope(paths: AgentPaths): Promise<Envelope | undefined> {
  const path = join(paths.run, "task.json");
  return (await Bun.file(path).exists()) ? readEnvelopeFile(path) : undefined;
}

async function describe(
  request: ReportRequest,
  envelope: Envelope,
  paths: AgentPaths,
  deps: ReportDeps,
): Promise<StatusReport> {
  const started = await stat(join(paths.run, "task.json"));
  const common = {
    delivery_id: deps.uuid(),
    job_id: envelope.job_id,
    task_target: envelope.task_target,
    started_at: started.mtime.toISOString(),
    finished_at: new Date(deps.now()).toISOString(),
  };
  if (request.outcome === "success") return { status: "success", ...common };
  const { unit, serviceResult } = request;
  const error =
    (await readFailure(paths, unit)) ?? (await guessFailure(unit, serviceResult, deps.runner));
  return { status: "failed", failed_step: unit, error, ...common };
}

/**
 * The report to send: ours if it is the first, the latched one if it was of the same unit and has not been
 * delivered (a restart), undefined if something else was first or it is done.
 */
async function latch(
  paths: AgentPaths,
  own: StatusReport,
  deps: ReportDeps,
): Promise<StatusReport | undefined> {
  const path = join(paths.run, "outcome.json");
  const draft = join(paths.run, `outcome.${own.delivery_id}.json`);
  await writeFile(draft, JSON.stringify(own), { mode: 0o600 });
  try {
    // A link appears whole or not at all, and only the first one does.
    await link(draft, path);
    return own;
  } catch (error) {
    if (!isObject(error) || error.code !== "EEXIST") {
      throw new ProvError(`Cannot write ${path}`, { code: "OUTPUT_FAILED", cause: error });
    }
  } finally {
    await unlink(draft);
  }
  const first = JSON.parse(await readFile(path, "utf8")) as StatusReport;
  const delivered = await Bun.file(join(paths.run, "outcome.delivered")).exists();
  if (delivered || first.status !== own.status || first.failed_step !== own.failed_step) {
    deps.log.info(
      { first: first.failed_step ?? first.status },
      "something else was reported first",
    );
    return undefined;
  }
  return first;
}
