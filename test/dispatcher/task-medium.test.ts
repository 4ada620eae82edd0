// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { findTaskMedia } from "../../src/dispatcher/task-medium.ts";
import { agentTree } from "./agent-tree.ts";
import { addDevice, type Device, isoHead } from "./devices.ts";

describe("findTaskMedia()", () => {
  test.each<{ why: string; devices: Device[]; found: string[] }>([
    {
      why: "the second CD",
      devices: [
        { name: "sr0", volumeId: "PROV_MAINT", bus: "sata" },
        { name: "sr1", volumeId: "TASK_0B9C9EE230A94B4F9D4E7B5F6F1", bus: "sata" },
      ],
      found: ["cd dev/sr1"],
    },
    {
      why: "the first CD, when the slots came up in the other order",
      devices: [
        { name: "sr0", volumeId: "TASK_1", bus: "sata" },
        { name: "sr1", volumeId: "PROV_MAINT", bus: "sata" },
      ],
      found: ["cd dev/sr0"],
    },
    {
      why: "a small USB device",
      devices: [{ name: "sda", volumeId: "TASK_1", bus: "usb" }],
      found: ["usb dev/sda"],
    },
    {
      why: "nothing on a disk of the server that poses as a task",
      devices: [{ name: "sda", volumeId: "TASK_1", bus: "sata" }],
      found: [],
    },
    {
      why: "nothing on a USB disk of many gigabytes",
      devices: [{ name: "sda", volumeId: "TASK_1", bus: "usb", sectors: 100_000_000 }],
      found: [],
    },
    { why: "nothing in an empty tray", devices: [{ name: "sr0", bus: "sata" }], found: [] },
  ])("finds $why (R29)", async ({ devices, found }) => {
    await using tree = await agentTree();
    for (const device of devices) await addDevice(tree.root, device);
    const media = await findTaskMedia(tree.paths);
    expect(media.map(({ kind, path }) => `${kind} ${path.slice(tree.root.length + 1)}`)).toEqual(
      found,
    );
  });

  test("finds the task that was laid over task.img of a combined ISO (R29)", async () => {
    await using tree = await agentTree();
    await Bun.write(join(tree.paths.bootMount, "task.img"), isoHead("TASK_1"));
    expect(await findTaskMedia(tree.paths)).toEqual([
      { kind: "image", path: join(tree.paths.bootMount, "task.img"), volumeId: "TASK_1" },
    ]);
  });

  test("prefers it to what an earlier job left in another drive (R36)", async () => {
    await using tree = await agentTree();
    await addDevice(tree.root, { name: "sr1", volumeId: "TASK_OLD", bus: "sata" });
    await Bun.write(join(tree.paths.bootMount, "task.img"), isoHead("TASK_NEW"));
    const media = await findTaskMedia(tree.paths);
    expect(media.map(({ volumeId }) => volumeId)).toEqual(["TASK_NEW", "TASK_OLD"]);
  });

  test("does not take the zeros of an unused task.img for a task", async () => {
    await using tree = await agentTree();
    await Bun.write(join(tree.paths.bootMount, "task.img"), new Uint8Array(64 * 1024));
    expect(await findTaskMedia(tree.paths)).toEqual([]);
  });
});
