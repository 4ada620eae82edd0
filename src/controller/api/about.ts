// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import { describeError } from "../../base/errors.ts";
import type { Metrics } from "../metrics.ts";
import type { ControllerDeps } from "../ports.ts";
import type { Api } from "./context.ts";

const SOURCE = "https://github.com/prov/prov";
const COUNTED = ["queued", "provisioning", "succeeded", "failed"] as const;
/** A gauge that stops here still says that something is wrong. */
const COUNT_MAX = 1000;

/** What can be asked without a login: health, metrics, and where the source is (AGPL, section 13). */
export function aboutRoutes(
  areWorkersAlive: () => boolean,
  metrics: Metrics,
  deps: ControllerDeps,
): Hono<Api> {
  const { version, commit } = deps.build;
  metrics.set("prov_build_info", { version, commit }, 1);
  return new Hono<Api>()
    .get("/healthz", (c) => c.json({ ok: true }))
    .get("/readyz", async (c) => {
      const problems: string[] = [];
      try {
        await deps.store.users.count();
      } catch (error) {
        deps.log.error({ err: error }, "database not ready");
        problems.push(`database: ${describeError(error)}`);
      }
      if (!areWorkersAlive()) problems.push("workers: not running");
      return c.json({ ready: problems.length === 0, problems }, problems.length === 0 ? 200 : 503);
    })
    .get("/about", (c) =>
      c.json({ name: "prov", version, commit, license: "AGPL-3.0-or-later", source: SOURCE }),
    )
    .get("/metrics", async (c) => {
      await countJobs(metrics, deps);
      return c.text(metrics.render(), 200, {
        "content-type": "text/plain; version=0.0.4; charset=utf-8",
      });
    });
}

async function countJobs(metrics: Metrics, deps: ControllerDeps): Promise<void> {
  for (const status of COUNTED) {
    const { items } = await deps.store.jobs.list({ status, limit: COUNT_MAX });
    metrics.set("prov_jobs", { status }, items.length);
  }
}
