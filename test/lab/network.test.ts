// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { createBridge } from "../../src/lab/network.ts";

const OPTIONS = { name: "prov0", address: "192.0.2.1/24", taps: 2 };

test("a bridge with taps is made, and removed in reverse", async () => {
  const ran: string[] = [];
  const bridge = await createBridge(OPTIONS, (argv) => {
    ran.push(argv.join(" "));
    return Promise.resolve();
  });
  expect(bridge.taps).toEqual(["prov0-t0", "prov0-t1"]);
  await bridge.remove();
  expect(ran).toEqual([
    "ip link add name prov0 type bridge",
    "ip address add 192.0.2.1/24 dev prov0",
    "ip link set dev prov0 up",
    "ip tuntap add dev prov0-t0 mode tap",
    "ip link set dev prov0-t0 master prov0 up",
    "ip tuntap add dev prov0-t1 mode tap",
    "ip link set dev prov0-t1 master prov0 up",
    "ip link delete dev prov0-t1",
    "ip link delete dev prov0-t0",
    "ip link delete dev prov0",
  ]);
});

test("what was made is removed when the rest fails", async () => {
  const ran: string[] = [];
  const bridge = createBridge(OPTIONS, (argv) => {
    ran.push(argv.join(" "));
    return argv.includes("tuntap") ? Promise.reject(new Error("no tun")) : Promise.resolve();
  });
  expect(bridge).rejects.toThrow("no tun");
  await bridge.catch(() => undefined);
  expect(ran.at(-1)).toBe("ip link delete dev prov0");
});

test("names that do not fit an interface are refused", () => {
  expect(createBridge({ ...OPTIONS, name: "prov-bridge-1" })).rejects.toThrow(RangeError);
});
