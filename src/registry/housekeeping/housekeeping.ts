// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The registry's door to its own upkeep: collecting garbage, checking what is stored, counting it.
 */
import type { Log } from "../../base/deps.ts";
import { ProvError } from "../../base/errors.ts";
import { createPace } from "../pace.ts";
import { type CollectOptions, collectGarbage, type HousekeepingDeps } from "./collect.ts";
import type { GcReport } from "./report.ts";
import { createScrub, type Scrub, type ScrubDeps } from "./scrub.ts";
import { measureUsage, type Usage } from "./usage.ts";

export interface Housekeeping {
  /** @throws {ProvError} `CONFLICT` while another one runs, or when the registry is read-only. */
  collect(options: CollectOptions): Promise<GcReport>;
  usage(): Promise<Usage>;
  /** How many uploads are begun and not finished. */
  openUploads(): number;
  readonly scrub: Omit<Scrub, "settled">;
  /** Resolves when nothing runs any more, which the end of `closing` brings about. */
  settled(): Promise<void>;
}

function logReport({ dryRun, took, phases }: GcReport, log: Log): void {
  const counts = Object.entries(phases).map(([phase, { count }]) => [phase, count]);
  log.info(
    { dry_run: dryRun, took_ms: took, ...Object.fromEntries(counts) },
    dryRun ? "registry garbage looked for" : "registry garbage collected",
  );
}

async function auditReport({ phases }: GcReport, audit: HousekeepingDeps["audit"]): Promise<void> {
  const counts = Object.entries(phases);
  if (counts.every(([, { count }]) => count === 0)) return;
  const reason = counts.map(([phase, { count }]) => `${count} ${phase}`).join(", ");
  const common = { identity: "housekeeping", address: null, outcome: "done" } as const;
  await audit.append({ ...common, action: "collect", reason });
}

export function createHousekeeping(deps: ScrubDeps): Housekeeping {
  const scrub = createScrub(deps);
  let collecting: Promise<GcReport> | undefined;
  return {
    async collect(options) {
      if (collecting !== undefined) {
        throw new ProvError("Cannot collect garbage: a collection is under way", {
          code: "CONFLICT",
          hint: "Wait until it is over: its report is in the controller's log.",
        });
      }
      collecting = collectGarbage(deps, options);
      try {
        const report = await collecting;
        logReport(report, deps.log);
        if (!report.dryRun) {
          deps.observer().collected(report);
          await auditReport(report, deps.audit);
        }
        return report;
      } finally {
        collecting = undefined;
      }
    },
    usage: () => measureUsage(deps.catalog, createPace(deps.closing)),
    openUploads: () => deps.catalog.uploads().length,
    scrub,
    async settled() {
      await scrub.settled();
      await collecting?.catch(() => undefined);
    },
  };
}
