// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import type { JsonObject } from "../../base/json.ts";
import { type Millis, millis } from "../../base/units.ts";
import type { GcReport } from "../../registry/housekeeping/report.ts";
import type { ScrubProgress } from "../../registry/housekeeping/scrub.ts";
import type { Usage } from "../../registry/housekeeping/usage.ts";
import { artifactsInUse } from "../artifacts.ts";
import { type ControllerConfig, REGISTRY_UPKEEP } from "../config.ts";
import type { ControllerDeps } from "../ports.ts";
import { DOCUMENT_LIMIT, readObject } from "./body.ts";
import type { Api } from "./context.ts";
import { invalidField } from "./errors.ts";
import { toTime } from "./job-document.ts";

/** `/api/v1/registry`: the registry's upkeep, for administrators. */
export function registryUpkeepRoutes(config: ControllerConfig, deps: ControllerDeps): Hono<Api> {
  const { housekeeping } = deps.registry;
  const upkeep = config.registryUpkeep ?? REGISTRY_UPKEEP;
  return new Hono<Api>()
    .post("/gc", async (c) => {
      const { document } = await readObject(c.req.raw, DOCUMENT_LIMIT);
      const { dryRun, grace } = parseCollection(document);
      const report = await housekeeping.collect({
        dryRun,
        grace: grace ?? upkeep.gcGrace,
        inUse: () => artifactsInUse(config.publicUrls, deps),
      });
      return c.json(toReportDocument(report));
    })
    .post("/scrub", async (c) => {
      return c.json(toScrubDocument(await housekeeping.scrub.start(upkeep.scrubRate)));
    })
    .get("/scrub", async (c) => c.json(toScrubDocument(await housekeeping.scrub.progress())))
    .get("/usage", async (c) => c.json(toUsageDocument(await housekeeping.usage())));
}

/** What is not understood is refused: a dry run that was written wrongly must remove nothing. */
function parseCollection(document: JsonObject): { dryRun: boolean; grace: Millis | undefined } {
  const { dry_run: dryRun = false, grace_seconds: grace, ...rest } = document;
  if (typeof dryRun !== "boolean") throw invalidField("/dry_run", "type", "must be true or false");
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) {
    throw invalidField(`/${unknown}`, "additionalProperties", "is not a field of this request");
  }
  return { dryRun, grace: parseGrace(grace) };
}

const LONGEST_GRACE_SECONDS = 10 * 365 * 24 * 3600;

function parseGrace(value: unknown): Millis | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "number" && value >= 0 && value <= LONGEST_GRACE_SECONDS) {
    return millis(value * 1000);
  }
  throw invalidField("/grace_seconds", "range", "must be a number of seconds, 0 or more");
}

function toReportDocument({ dryRun, grace, took, phases, removed }: GcReport) {
  return { dry_run: dryRun, grace_seconds: grace / 1000, took_ms: took, ...phases, removed };
}

function toScrubDocument(progress: ScrubProgress) {
  return {
    running: progress.isRunning,
    started_at: timeOrNull(progress.startedAt),
    finished_at: timeOrNull(progress.finishedAt),
    contents: progress.contents,
    bytes: progress.bytes,
    total_bytes: progress.totalBytes,
    damages: progress.damages.map(({ foundAt, ...damage }) => ({
      ...damage,
      found_at: toTime(foundAt),
    })),
  };
}

const timeOrNull = (at: number | null): string | null => (at === null ? null : toTime(at));

function toUsageDocument(usage: Usage) {
  return {
    repositories: usage.repositories.map(({ ownBytes, ...rest }) => ({
      ...rest,
      own_bytes: ownBytes,
    })),
    stored: { contents: usage.contents, bytes: usage.bytes },
    uploads: { count: usage.uploads, bytes: usage.uploadBytes },
  };
}
