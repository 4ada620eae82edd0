// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Counters, gauges and histograms in Prometheus' text format. Every series is named in the table below, which is also
 * its documentation; labels never carry a value that a client chooses.
 */

const SERIES = {
  prov_build_info: { type: "gauge", help: "Always 1; version and commit are labels." },
  prov_jobs: { type: "gauge", help: "Jobs that are not complete, by status." },
  prov_workers: { type: "gauge", help: "Worker slots, by state." },
  job_transitions_total: { type: "counter", help: "Jobs that entered a phase or ended." },
  http_requests_total: { type: "counter", help: "Requests answered, by route and status code." },
  media_reads_total: {
    type: "counter",
    help: "GETs of media that were answered with content, by kind.",
  },
  webhook_received_total: { type: "counter", help: "Status reports of agents." },
  registry_mirror_requests_total: {
    type: "counter",
    help: "Manifests and blobs asked of a mirror, by how: hit, miss, stale (upstream silent), error.",
  },
  registry_mirror_bytes_total: { type: "counter", help: "Bytes that a mirror got from upstream." },
  auth_failures_total: { type: "counter", help: "Requests refused with 401 or 429." },
  registry_upload_bytes_total: { type: "counter", help: "Bytes of blobs pushed, by repository." },
  registry_download_bytes_total: {
    type: "counter",
    help: "Bytes of answered GETs of blobs and manifests, by repository.",
  },
  registry_inflight_uploads: { type: "gauge", help: "Uploads begun and not finished." },
  registry_upload_duration_seconds: {
    type: "histogram",
    help: "From the beginning of a blob's upload to its end.",
    buckets: [0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600],
  },
  registry_blob_count: { type: "gauge", help: "Contents that are stored, each counted once." },
  registry_storage_bytes: { type: "gauge", help: "Bytes of these contents." },
  registry_gc_removed_total: { type: "counter", help: "What was collected as garbage, by kind." },
  registry_gc_last_success_timestamp_seconds: {
    type: "gauge",
    help: "When garbage was last collected (Unix time).",
  },
  registry_scrub_bytes_total: {
    type: "counter",
    help: "Bytes read to be compared with their digest.",
  },
  registry_quarantined_total: {
    type: "counter",
    help: "Contents found damaged or missing, by what became of them.",
  },
} as const satisfies Record<string, Series>;

interface Series {
  readonly type: "gauge" | "counter" | "histogram";
  readonly help: string;
  /** Upper bounds of a histogram's buckets, in order; the one without bound is added. */
  readonly buckets?: readonly number[];
}

type SeriesName = keyof typeof SERIES;
type Labels = Readonly<Record<string, string>>;

export interface Metrics {
  /** @param by how much; 1 when it is left out. */
  count(series: SeriesName, labels: Labels, by?: number): void;
  set(series: SeriesName, labels: Labels, value: number): void;
  /** One value of a histogram. */
  observe(series: SeriesName, labels: Labels, value: number): void;
  /** The text exposition format, version 0.0.4. */
  render(): string;
}

export function createMetrics(): Metrics {
  /** By series, then by what stands before the value. */
  const values = new Map<SeriesName, Map<string, number>>();
  const of = (series: SeriesName): Map<string, number> => {
    const found = values.get(series) ?? new Map<string, number>();
    values.set(series, found);
    return found;
  };
  const add = (series: SeriesName, key: string, by: number): void => {
    of(series).set(key, (of(series).get(key) ?? 0) + by);
  };
  return {
    count: (series, labels, by = 1) => add(series, renderLabels(labels), by),
    observe(series, labels, value) {
      const { buckets = [] }: Series = SERIES[series];
      // All buckets are there from the first value on, in their order.
      for (const bound of [...buckets, Number.POSITIVE_INFINITY]) {
        const le = bound === Number.POSITIVE_INFINITY ? "+Inf" : String(bound);
        add(series, `_bucket${renderLabels({ ...labels, le })}`, value <= bound ? 1 : 0);
      }
      add(series, `_sum${renderLabels(labels)}`, value);
      add(series, `_count${renderLabels(labels)}`, 1);
    },
    set(series, labels, value) {
      of(series).set(renderLabels(labels), value);
    },
    render() {
      const lines: string[] = [];
      for (const [series, samples] of values) {
        const { type, help } = SERIES[series];
        lines.push(`# HELP ${series} ${help}`, `# TYPE ${series} ${type}`);
        for (const [key, value] of samples) lines.push(`${series}${key} ${value}`);
      }
      return `${lines.join("\n")}\n`;
    },
  };
}

function renderLabels(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}
