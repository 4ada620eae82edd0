// SPDX-License-Identifier: AGPL-3.0-or-later
import type { RegistryObserver } from "../registry/observer.ts";
import type { Metrics } from "./metrics.ts";
import type { ControllerDeps } from "./ports.ts";

/** Repositories that have a label of their own. Their names are chosen by whoever pushes. */
const LABELS_MAX = 200;
const OTHERS = "(others)";

/** Counts what happens in the registry. */
export function registryObserver(
  metrics: Metrics,
  { now }: Pick<ControllerDeps, "now">,
): RegistryObserver {
  const labels = new Set<string>();
  const labelOf = (repository: string): { readonly repo: string } => {
    if (labels.size < LABELS_MAX) labels.add(repository);
    return { repo: labels.has(repository) ? repository : OTHERS };
  };
  return {
    uploaded(repository, bytes, took) {
      metrics.count("registry_upload_bytes_total", labelOf(repository), bytes);
      if (took !== null) metrics.observe("registry_upload_duration_seconds", {}, took / 1000);
    },
    downloaded(repository, bytes) {
      metrics.count("registry_download_bytes_total", labelOf(repository), bytes);
    },
    collected({ phases }) {
      for (const [kind, { count }] of Object.entries(phases)) {
        metrics.count("registry_gc_removed_total", { kind }, count);
      }
      metrics.set("registry_gc_last_success_timestamp_seconds", {}, Math.floor(now() / 1000));
    },
    scrubbed: (bytes) => metrics.count("registry_scrub_bytes_total", {}, bytes),
    damaged: ({ outcome }) => metrics.count("registry_quarantined_total", { outcome }),
  };
}

/** Measuring reads the whole catalog, if in slices: not at each scrape. */
const MEASURED_FOR_MS = 5 * 60_000;

/** Sets the gauges of what is stored; to be called before metrics are rendered. */
export function registryGauges(
  metrics: Metrics,
  { registry, now, log }: Pick<ControllerDeps, "registry" | "now" | "log">,
): () => Promise<void> {
  let measuredAt = Number.NEGATIVE_INFINITY;
  return async () => {
    metrics.set("registry_inflight_uploads", {}, registry.housekeeping.openUploads());
    if (now() - measuredAt < MEASURED_FOR_MS) return;
    measuredAt = now();
    try {
      const { contents, bytes } = await registry.housekeeping.usage();
      metrics.set("registry_blob_count", {}, contents);
      metrics.set("registry_storage_bytes", {}, bytes);
    } catch (error) {
      log.error({ err: error }, "registry not measured");
    }
  };
}
