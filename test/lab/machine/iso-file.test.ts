// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findIsoFile } from "../../../src/lab/machine/iso-file.ts";

let directory = "";
let iso = new Uint8Array();

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "prov-iso-file-"));
  // More names than one sector of a directory holds.
  for (let i = 0; i < 40; i++) await Bun.write(join(directory, "in", `filler-${i}.txt`), "x");
  await Bun.write(join(directory, "in", "task.img"), "the task");
  const out = join(directory, "out.iso");
  const child = Bun.spawn(
    ["xorriso", "-as", "mkisofs", "-quiet", "-r", "-J", "-o", out, join(directory, "in")],
    { stdout: "ignore", stderr: "ignore" },
  );
  await child.exited;
  iso = await Bun.file(out).bytes();
});
afterAll(() => rm(directory, { recursive: true }));

const read = (start: number, end: number) => Promise.resolve(iso.slice(start, end));

test("finds a file's bytes in an image by xorriso", async () => {
  const extent = await findIsoFile(read, "TASK.IMG");
  const end = (extent?.offset ?? 0) + (extent?.size ?? 0);
  expect(new TextDecoder().decode(iso.slice(extent?.offset, end))).toBe("the task");
});

test("a file that is not there, and an image that is none", async () => {
  expect(await findIsoFile(read, "OTHER.IMG")).toBeUndefined();
  const zeros = (start: number, end: number) => Promise.resolve(new Uint8Array(end - start));
  expect(await findIsoFile(zeros, "TASK.IMG")).toBeUndefined();
});
