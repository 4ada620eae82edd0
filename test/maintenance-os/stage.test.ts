// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hash, run, stage, type Workshop } from "../../maintenance-os/stage.ts";

let workshop: Workshop;
let built: string[];

beforeEach(async () => {
  const cache = await mkdtemp(join(tmpdir(), "stage-"));
  workshop = { cache, log: () => {}, epoch: 1_700_000_000 };
  built = [];
});

afterEach(async () => {
  await rm(workshop.cache, { recursive: true });
});

const build = (content: string) => async (path: string) => {
  built.push(content);
  await Bun.write(path, content);
};

test("a stage is built once for the same inputs and again for others", async () => {
  const first = await stage("part", ["a"], workshop, build("one"));
  const again = await stage("part", ["a"], workshop, build("two"));
  const other = await stage("part", ["b"], workshop, build("three"));
  expect(again).toEqual(first);
  expect(other.key).not.toBe(first.key);
  expect(built).toEqual(["one", "three"]);
  expect(await Bun.file(first.path).text()).toBe("one");
});

test("a failed build leaves nothing behind that a later one could take for whole", async () => {
  const failing = stage("part", ["a"], workshop, async (path) => {
    await Bun.write(path, "half");
    throw new Error("no space left");
  });
  await expect(failing).rejects.toThrow("no space left");
  expect(await readdir(workshop.cache)).toEqual([]);
});

test("three results of a stage are kept, the newest among them, and other stages' are not touched", async () => {
  const other = await stage("part-two", ["x"], workshop, build("x"));
  for (const input of ["a", "b", "c", "d", "e"])
    await stage("part", [input], workshop, build(input));
  const left = await readdir(workshop.cache);
  expect(left.filter((name) => name.startsWith("part-two-"))).toEqual([`part-two-${other.key}`]);
  expect(left).toHaveLength(4);
  expect(left).toContain(`part-${hash(["e"])}`);
});

test("the hash keeps its parts apart", () => {
  expect(hash(["ab", "c"])).not.toBe(hash(["a", "bc"]));
  expect(hash(["ab"])).toMatch(/^[0-9a-f]{16}$/);
});

test("a program that fails is named, and what it printed is the cause", async () => {
  const failed = run(["sh", "-c", "echo out of luck >&2; exit 3"], workshop);
  await expect(failed).rejects.toMatchObject({
    message: expect.stringContaining("exit code 3"),
    cause: "out of luck\n",
  });
});
