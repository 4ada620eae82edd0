// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Counters and gauges in Prometheus' text format. Every series is named in the table below, which is also
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
} as const satisfies Record<string, { readonly type: "gauge" | "counter"; readonly help: string }>;

type SeriesName = keyof typeof SERIES;
type Labels = Readonly<Record<string, string>>;

export interface Metrics {
  count(series: SeriesName, labels: Labels): void;
  set(series: SeriesName, labels: Labels, value: number): void;
  /** The text exposition format, version 0.0.4. */
  render(): string;
}

export function createMetrics(): Metrics {
  const values = new Map<SeriesName, Map<string, number>>();
  const of = (series: SeriesName): Map<string, number> => {
    const found = values.get(series) ?? new Map<string, number>();
    values.set(series, found);
    return found;
  };
  return {
    count(series, labels) {
      const key = renderLabels(labels);
      of(series).set(key, (of(series).get(key) ?? 0) + 1);
    },
    set(series, labels, value) {
      of(series).set(renderLabels(labels), value);
    },
    render() {
      const lines: string[] = [];
      for (const [series, samples] of values) {
        const { type, help } = SERIES[series];
        lines.push(`# HELP ${series} ${help}`, `# TYPE ${series} ${type}`);
        for (const [labels, value] of samples) lines.push(`${series}${labels} ${value}`);
      }
      return `${lines.join("\n")}\n`;
    },
  };
}

function renderLabels(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}
