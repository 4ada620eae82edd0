// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createUploadState,
  type UploadStateDeps,
} from "../../../src/registry/client/upload-state.ts";

const LOCATION = "https://registry/v2/os/debian/blobs/uploads/1?_state=secret";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "prov-state-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const directory = () => join(home, "prov/uploads");
const running = new Set<number>();
const memoryOf = (pid: number, more: Partial<UploadStateDeps> = {}) =>
  createUploadState({
    directory: directory(),
    now: Date.now,
    pid,
    isRunning: (other) => running.has(other),
    ...more,
  });

test("what a process has left is another's, once", async () => {
  await memoryOf(1).keep("key", LOCATION);
  for (const pid of [2, 3, 4]) running.add(pid);
  const results = await Promise.all([2, 3, 4].map((pid) => memoryOf(pid).take("key")));
  expect(results.filter((location) => location !== undefined)).toEqual([LOCATION]);
  expect(await memoryOf(5).take("key")).toBeUndefined();
  expect(await readdir(directory())).toEqual([]);
});

test("what a running process is sending is its own", async () => {
  running.add(7);
  await memoryOf(7).keep("key", LOCATION);
  expect(await memoryOf(8).take("key")).toBeUndefined();
  await memoryOf(8).keep("key", `${LOCATION}2`);
  running.delete(7);
  expect([await memoryOf(9).take("key"), await memoryOf(9).take("key")].toSorted()).toEqual([
    LOCATION,
    `${LOCATION}2`,
  ]);
});

test("nobody else can read it, and it holds the location only", async () => {
  const memory = memoryOf(1);
  await memory.keep("https://registry os/debian sha256:1", LOCATION);
  await memory.keep("https://registry os/debian sha256:1", `${LOCATION}&more`);
  const [name = "", ...others] = await readdir(directory());
  expect(others).toEqual([]);
  expect(name).toMatch(/^[0-9a-f]{64}\.1$/);
  expect((await stat(directory())).mode & 0o777).toBe(0o700);
  expect((await stat(join(directory(), name))).mode & 0o777).toBe(0o600);
  expect(await readFile(join(directory(), name), "utf8")).toBe(`${LOCATION}&more\n`);
  await memory.forget("https://registry os/debian sha256:1");
  expect(await readdir(directory())).toEqual([]);
});

test("what is older than a week is removed", async () => {
  await memoryOf(1).keep("old", LOCATION);
  await memoryOf(1).keep("young", LOCATION);
  for (const name of await readdir(directory())) {
    const path = join(directory(), name);
    const isOld = name.startsWith(new Bun.CryptoHasher("sha256").update("old").digest("hex"));
    if (isOld) await utimes(path, 0, Date.now() / 1000 - 8 * 24 * 3600);
  }
  expect(await memoryOf(2).take("other")).toBeUndefined();
  expect(await readdir(directory())).toHaveLength(1);
  expect(await memoryOf(2).take("young")).toBe(LOCATION);
});

test("a directory that cannot be made keeps nothing, and is no error", async () => {
  await writeFile(join(home, "prov"), "a file");
  const memory = memoryOf(1);
  await memory.keep("key", LOCATION);
  expect(await memory.take("key")).toBeUndefined();
});
