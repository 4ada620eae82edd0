// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { join } from "node:path";
import { silentLog } from "../../src/base/deps.ts";
import { awaitDisk } from "../../src/dispatcher/await-disk.ts";
import { FakeRunner } from "../helpers/fake-runner.ts";
import { agentTree } from "./agent-tree.ts";

const SIGNAL = new AbortController().signal;

test.each([
  { disk: "/dev/disk/by-id/ata-X", comes: 30, waited: 30 },
  { disk: "/dev/sda", comes: 0, waited: 0 },
  { disk: "/dev/sda", comes: Number.POSITIVE_INFINITY, waited: 90 },
  { disk: null, comes: 0, waited: 0 },
])("waits $waited s for $disk that comes after $comes s, then for udev", async (row) => {
  await using tree = await agentTree();
  const node = join(tree.root, row.disk ?? "/dev/none");
  let slept = 0;
  if (row.comes === 0) await Bun.write(node, "");
  const runner = new FakeRunner();
  const deps = {
    runner,
    log: silentLog,
    now: () => slept * 1000,
    fetch: () => Promise.reject(new TypeError("asks nobody")),
    sleep: async () => {
      slept++;
      if (slept === row.comes) await Bun.write(node, "");
    },
  };
  await awaitDisk(row.disk, tree.paths, deps, SIGNAL);
  expect(slept).toBe(row.waited);
  expect(runner.calls).toEqual(row.disk === null ? [] : ["udevadm settle --timeout=60"]);
});
