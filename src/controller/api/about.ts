// SPDX-License-Identifier: AGPL-3.0-or-later
import { statfs } from "node:fs/promises";
import { Hono } from "hono";
import { formatBytes, mib } from "../../base/units.ts";
import type { ControllerConfig } from "../config.ts";
import type { Metrics } from "../metrics.ts";
import type { ControllerDeps } from "../ports.ts";
import { registryGauges } from "../registry-metrics.ts";
import type { Api } from "./context.ts";

const COUNTED = ["queued", "provisioning", "succeeded", "failed"] as const;
/** A gauge that stops here still says that something is wrong. */
const COUNT_MAX = 1000;

/** What can be asked without a login: health, metrics, and where the source is (AGPL, section 13). */
export function aboutRoutes(site: Readiness, metrics: Metrics, deps: ControllerDeps): Hono<Api> {
  const { version, commit, source } = deps.build;
  const setRegistryGauges = registryGauges(metrics, deps);
  metrics.set("prov_build_info", { version, commit }, 1);
  return new Hono<Api>()
    .get("/healthz", (c) => c.json({ ok: true }))
    .get("/readyz", async (c) => {
      const problems = await findProblems(site, deps);
      return c.json({ ready: problems.length === 0, problems }, problems.length === 0 ? 200 : 503);
    })
    .get("/about", (c) =>
      c.json({ name: "prov", version, commit, license: "AGPL-3.0-or-later", source }),
    )
    .get("/metrics", async (c) => {
      await countJobs(metrics, deps);
      showMirror(metrics, deps);
      await setRegistryGauges();
      return c.text(metrics.render(), 200, {
        "content-type": "text/plain; version=0.0.4; charset=utf-8",
      });
    });
}

interface Readiness {
  readonly config: ControllerConfig;
  readonly areWorkersAlive: () => boolean;
}

/** Below this a registry, a database and logs get into each other's way. */
const LEAST_FREE_BYTES = mib(256);

/** What keeps the controller from doing its work, in a few words each. */
async function findProblems(
  { config, areWorkersAlive }: Readiness,
  deps: ControllerDeps,
): Promise<readonly string[]> {
  const problems: string[] = [];
  const check = async (what: string, work: () => Promise<boolean>, otherwise: string) => {
    try {
      if (!(await work())) problems.push(`${what}: ${otherwise}`);
    } catch (error) {
      deps.log.error({ err: error, what }, "not ready");
      problems.push(`${what}: does not answer`);
    }
  };
  await check("database", async () => (await deps.store.users.count()) >= 0, "");
  await check(
    "disk",
    async () => {
      const { bavail, bsize } = await statfs(config.storageRoot);
      return bavail * bsize >= LEAST_FREE_BYTES;
    },
    `less than ${formatBytes(LEAST_FREE_BYTES)} free`,
  );
  if (!areWorkersAlive()) problems.push("workers: not running");
  return problems;
}

async function countJobs(metrics: Metrics, deps: ControllerDeps): Promise<void> {
  for (const status of COUNTED) {
    const { items } = await deps.store.jobs.list({ status, limit: COUNT_MAX });
    metrics.set("prov_jobs", { status }, items.length);
  }
}

/** The registry counts by itself: it is there before the metrics are. */
function showMirror(metrics: Metrics, { registry }: ControllerDeps): void {
  const counts = registry.mirrorCounts();
  if (counts === null) return;
  for (const [result, count] of Object.entries(counts.requests)) {
    metrics.set("registry_mirror_requests_total", { result }, count);
  }
  metrics.set("registry_mirror_bytes_total", {}, counts.bytes);
}
