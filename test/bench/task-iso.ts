// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * How long a typical task ISO takes, and how much faster that is than to run xorriso for it:
 * `bun test/bench/task-iso.ts`. One row of a Markdown table for each metric.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTaskIso } from "../../src/media/task-iso.ts";

const OWN_RUNS = 200;
const XORRISO_RUNS = 15;

/** Sizes of what a Linux job with cloud-init carries: a recipe, its schema, an envelope, user-data. */
const CONTENT = {
  jobId: "0190b5c2-7d3e-7abc-8def-0123456789ab",
  recipeText: "r".repeat(3_000),
  schemaText: "s".repeat(25_000),
  envelopeText: "e".repeat(4_000),
  payloads: { userData: "u".repeat(16_000), unattendXml: null, ksCfg: null },
  epoch: 1_700_000_000,
};

export interface Row {
  readonly metric: string;
  readonly value: string;
  readonly target: string;
  readonly met: boolean;
}

export async function benchTaskIso(): Promise<Row[]> {
  const own = await medianMs(OWN_RUNS, () => buildTaskIso(CONTENT));
  const tool = await withTree((tree, iso) => medianMs(XORRISO_RUNS, () => runXorriso(tree, iso)));
  const ratio = tool / own;
  return [
    { metric: "task ISO, median", value: `${own.toFixed(3)} ms`, target: "< 5 ms", met: own < 5 },
    {
      metric: "task ISO, times faster than xorriso",
      value: `${ratio.toFixed(0)} (${tool.toFixed(1)} ms)`,
      target: ">= 20",
      met: ratio >= 20,
    },
  ];
}

async function medianMs(runs: number, work: () => unknown): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    await work();
    times.push(performance.now() - start);
  }
  return times.toSorted((a, b) => a - b)[Math.floor(runs / 2)] ?? Number.NaN;
}

async function withTree<T>(use: (tree: string, iso: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), "prov-bench-"));
  const tree = join(dir, "tree");
  mkdirSync(tree);
  try {
    await Bun.write(join(tree, "recipe.json"), CONTENT.recipeText);
    await Bun.write(join(tree, "recipe.schema.json"), CONTENT.schemaText);
    await Bun.write(join(tree, "task.json"), CONTENT.envelopeText);
    await Bun.write(join(tree, "user-data"), CONTENT.payloads.userData);
    return await use(tree, join(dir, "task.iso"));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function runXorriso(tree: string, iso: string): Promise<void> {
  const argv = ["xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-V", "TASK", "-o", iso, tree];
  const code = await Bun.spawn(argv, { stdout: "ignore", stderr: "ignore" }).exited;
  if (code !== 0) throw new Error(`xorriso exited with ${code}`);
}

if (import.meta.main) {
  const rows = await benchTaskIso();
  for (const { metric, value, target, met } of rows) {
    console.log(`| ${metric} | ${value} | ${target} | ${met ? "yes" : "NO"} |`);
  }
}
