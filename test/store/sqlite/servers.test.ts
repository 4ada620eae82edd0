// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { memoryStore, server, storeWithJob } from "../fresh-store.ts";

const STATIC = {
  interfaces: [
    { type: "ethernet", name: "lan", mac: "52:54:00:00:00:01", addresses: ["192.0.2.9/24"] },
  ],
} as const;

test("a server comes back as it was put (R10)", async () => {
  const store = await memoryStore();
  const pinned = { mode: "pinned", fingerprint: "ab".repeat(32) } as const;
  const first = { ...server("SN1"), bmc: { ...server("SN1").bmc, tls: pinned } };
  expect(await store.servers.put(first, 5)).toBe("created");
  expect(await store.servers.get("SN1")).toEqual({
    ...first,
    capabilities: null,
    createdAt: 5,
    updatedAt: 5,
  });
  const second = { ...server("SN1"), delivery: "combined", network: STATIC } as const;
  expect(await store.servers.put(second, 6)).toBe("updated");
  expect(await store.servers.list()).toEqual([
    { ...second, capabilities: null, createdAt: 5, updatedAt: 6 },
  ]);
});

test("capabilities stay until the BMC is another one (R28)", async () => {
  const store = await memoryStore();
  await store.servers.put(server("SN1"), 1);
  await store.servers.setCapabilities("SN1", { slots: 2 }, 2);
  await store.servers.put({ ...server("SN1"), delivery: "usb" }, 3);
  expect(await store.servers.get("SN1")).toMatchObject({
    capabilities: { slots: 2 },
    delivery: "usb",
  });
  const moved = { ...server("SN1").bmc, url: "https://192.0.2.8" };
  await store.servers.put({ ...server("SN1"), bmc: moved }, 4);
  expect((await store.servers.get("SN1"))?.capabilities).toBeNull();
});

test("a server with an active job stays; its complete jobs outlive it", async () => {
  const store = await storeWithJob();
  await expect(store.servers.remove("SN1")).rejects.toMatchObject({
    code: "CONFLICT",
    message: 'Cannot remove server "SN1": job j1 is not complete',
  });
  await store.jobs.signal("j1", { kind: "canceled" }, { events: [] }, 20);
  expect(await store.servers.remove("SN1")).toBe(true);
  expect(await store.servers.remove("SN1")).toBe(false);
  expect((await store.jobs.get("j1"))?.serverSerial).toBe("SN1");
});
