// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { millis } from "../../src/base/units.ts";
import { createMetrics } from "../../src/controller/metrics.ts";
import { registryObserver } from "../../src/controller/registry-metrics.ts";
import { pushImage, serveRegistry, text } from "../registry/served.ts";

const linesOf = (rendered: string, series: string): string[] =>
  rendered.split("\n").filter((line) => line.startsWith(series));

test("R54: pushes and pulls are counted by repository, under the source design's names", async () => {
  const metrics = createMetrics();
  await using served = await serveRegistry();
  served.registry.watch(registryObserver(metrics, { now: Date.now }));
  const { digest } = await pushImage(served, "a/b", "v1", { layers: [text("0123456789")] });
  await (await served.ask("GET", `a/b/manifests/${digest}`)).text();
  await (await served.ask("GET", `nothing/here/manifests/${digest}`)).text();
  const layer = "a/b/blobs/sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";
  await (await served.ask("GET", layer, { headers: { range: "bytes=2-4" } })).text();
  const rendered = metrics.render();
  expect(linesOf(rendered, "registry_upload_bytes_total")).toEqual([
    'registry_upload_bytes_total{repo="a/b"} 12',
  ]);
  const size = (await served.registry.resolve("a/b", "v1"))?.size ?? 0;
  expect(linesOf(rendered, "registry_download_bytes_total")).toEqual([
    `registry_download_bytes_total{repo="a/b"} ${size + 3}`,
  ]);
  expect(linesOf(rendered, "registry_upload_duration_seconds_count")).toEqual([
    "registry_upload_duration_seconds_count 2",
  ]);
});

test("a histogram is written as Prometheus reads it", () => {
  const metrics = createMetrics();
  for (const value of [0.05, 20, 5000]) {
    metrics.observe("registry_upload_duration_seconds", {}, value);
  }
  expect(metrics.render()).toBe(
    `${[
      "# HELP registry_upload_duration_seconds From the beginning of a blob's upload to its end.",
      "# TYPE registry_upload_duration_seconds histogram",
      ...[
        [0.1, 1],
        [0.5, 1],
        [1, 1],
        [5, 1],
        [10, 1],
        [30, 2],
        [60, 2],
        [300, 2],
        [900, 2],
        [3600, 2],
        ["+Inf", 3],
      ].map(([le, n]) => `registry_upload_duration_seconds_bucket{le="${le}"} ${n}`),
      "registry_upload_duration_seconds_sum 5020.05",
      "registry_upload_duration_seconds_count 3",
    ].join("\n")}\n`,
  );
});

test("repositories beyond the two hundredth share a label", () => {
  const metrics = createMetrics();
  const observer = registryObserver(metrics, { now: () => 0 });
  for (let i = 0; i < 300; i++) observer.uploaded(`r${i}`, 1, millis(1));
  const lines = linesOf(metrics.render(), "registry_upload_bytes_total");
  expect(lines).toHaveLength(201);
  expect(lines.at(-1)).toBe('registry_upload_bytes_total{repo="(others)"} 100');
});
