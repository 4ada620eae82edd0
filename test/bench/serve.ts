// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * How long the binary takes to start: `bun test/bench/serve.ts`, after `bun build.ts binary`.
 */
import { join } from "node:path";
import {
  BINARY,
  benchDirectory,
  median,
  type Row,
  renderRows,
  serveBinary,
} from "../helpers/bench.ts";

const ROUNDS = 5;

async function benchServe(): Promise<Row[]> {
  await using directory = await benchDirectory();
  const first: number[] = [];
  const again: number[] = [];
  const version: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const storage = join(directory.path, `storage-${i}`);
    for (const times of [first, again]) {
      await using served = await serveBinary(storage);
      times.push(served.readyMs);
    }
    const start = performance.now();
    await Bun.spawn([BINARY, "version"], { stdout: "ignore" }).exited;
    version.push(performance.now() - start);
  }
  return [
    row("prov serve, first start to ready", median(first), 500),
    row("prov serve, start to ready", median(again), 500),
    row("prov version", median(version), 200),
  ];
}

function row(metric: string, ms: number, target: number): Row {
  return { metric, value: `${Math.round(ms)} ms`, target: `< ${target} ms`, met: ms < target };
}

console.log(renderRows(await benchServe()));
