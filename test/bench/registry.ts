// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * How fast blobs go up and down beside docker-registry and nginx, what memory that takes, and how long
 * small requests wait meanwhile: `bun build.ts bench registry [--gib=11] [--rounds=3] [--only=downloads]`.
 * Needs 2 cores and, at most, twice the size of the big blob on the disk.
 */
import { parseArgs } from "node:util";
import { benchDirectory, type Row, renderRows } from "../helpers/bench.ts";
import { downloadRows } from "./registry/download-rows.ts";
import type { Plan } from "./registry/plan.ts";
import { pullRows } from "./registry/pull-rows.ts";
import { bigUploadRows, parallelUploadRows } from "./registry/upload-rows.ts";

const PARTS: Readonly<Record<string, (plan: Plan) => Promise<Row[]>>> = {
  upload: bigUploadRows,
  uploads: parallelUploadRows,
  downloads: downloadRows,
  pull: pullRows,
};

const { values } = parseArgs({
  options: {
    gib: { type: "string", default: "11" },
    rounds: { type: "string", default: "3" },
    only: { type: "string", multiple: true, default: Object.keys(PARTS) },
  },
});
await using directory = await benchDirectory();
const plan: Plan = {
  gib: Number(values.gib),
  rounds: Number(values.rounds),
  directory: directory.path,
  note: (line) => console.error(line),
};
for (const name of values.only) {
  const part = PARTS[name];
  if (part === undefined) throw new Error(`--only is one of ${Object.keys(PARTS).join(", ")}`);
  console.log(renderRows(await part(plan)));
}
