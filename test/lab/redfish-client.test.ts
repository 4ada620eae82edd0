// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { realSleep, silentLog } from "../../src/base/deps.ts";
import { millis } from "../../src/base/units.ts";
import { PERSONALITIES, type PersonalityName } from "../../src/lab/bmc/personality.ts";
import { startSimulatedServer } from "../../src/lab/lab.ts";
import { type BmcAddress, openBmc } from "../../src/redfish/bmc.ts";
import { testBmc } from "./bmc/fake-machine.ts";

const NAMES = Object.keys(PERSONALITIES) as PersonalityName[];
const signal = new AbortController().signal;

describe("R22 prov's own client works every personality of the lab", () => {
  test.each(NAMES)("%s", async (name) => {
    const lab = testBmc(name);
    const address: BmcAddress = {
      url: "https://bmc.test",
      username: "lab",
      password: "secret",
      tls: { mode: "verify" },
    };
    const bmc = openBmc(address, {
      fetch: (url, init) => Promise.resolve(lab.app.request(url, init as RequestInit)),
      now: () => lab.time.now,
      sleep: (ms) => {
        lab.time.now += ms;
        return Promise.resolve();
      },
      log: silentLog,
      signal,
    });
    const { slots } = await bmc.probe("S1");
    await bmc.powerOff();
    await bmc.ejectAll();
    const slot = slots[0];
    if (slot === undefined) throw new Error("The probe found no slot");
    await bmc.insert(slot, "https://192.0.2.1/m/tok/boot.iso");
    await bmc.bootOnceFromCd();
    await bmc.powerOn();
    lab.machine.reboot();
    await bmc.powerOff();
    expect(await bmc.ejectAll()).toBe(1);
    await bmc.close();
    const drive = PERSONALITIES[name].slots.findIndex((s) => s.mediaTypes.some((t) => t === "CD"));
    expect(lab.machine.history).toEqual([
      `insert ${drive} 4096`,
      `boot drive ${drive}`,
      "boot disk",
      "off",
      `eject ${drive}`,
    ]);
    const open = await lab.send("GET", "/redfish/v1/SessionService/Sessions");
    expect(open.body["Members@odata.count"] ?? 0).toBe(0);
  });
});

test("over TLS with the pinned fingerprint", async () => {
  const server = await startSimulatedServer(
    { serial: "SIM-1", personality: "two-slot", bmcPort: 0, agent: () => Promise.resolve() },
    { fetch, now: Date.now, sleep: realSleep, log: silentLog },
  );
  const { bmcUrl: url, username, password, fingerprint } = server;
  const deps = { fetch, now: Date.now, sleep: realSleep, log: silentLog, signal };
  const pinned = { mode: "pinned", fingerprint: fingerprint ?? "" } as const;
  const bmc = openBmc({ url, username, password, tls: pinned }, deps);
  try {
    await bmc.powerOn(millis(5000));
    expect(await bmc.powerState()).toBe("On");
  } finally {
    await bmc.close();
    await server.stop();
  }
});
