// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { describeError } from "../../src/base/errors.ts";
import { SERIAL } from "./fake-bmc.ts";
import { PERSONALITIES } from "./personalities.ts";
import { setUp } from "./set-up.ts";

const BOOT_ISO = "https://192.0.2.1/m/k3Jx9-canary/boot.iso";

describe("R22: insert, verify, override, power, eject", () => {
  test.each(PERSONALITIES.map((p) => [p.name, p] as const))("%s", async (_, p) => {
    const { fake, bmc, logged } = setUp(p);
    const capabilities = await bmc.probe(SERIAL);
    expect(fake.changes(), "R28: probe changes nothing").toEqual([]);
    expect(capabilities.delivery).toBe(p.expect.delivery as typeof capabilities.delivery);
    expect(capabilities.systemSerial).toBe(SERIAL);

    const [slot] = capabilities.slots;
    if (slot === undefined) throw new RangeError("no slot");
    await bmc.powerOff();
    expect(await bmc.powerState()).toBe("Off");
    fake.put(slot.id, "https://192.0.2.9/left-by-someone.iso");
    expect(await bmc.ejectAll()).toBe(1);
    await bmc.insert(slot, BOOT_ISO);
    expect(fake.slots.get(slot.id)).toMatchObject({ image: BOOT_ISO, inserted: true });
    expect(fake.inserted, "R23: the least body that is taken").toEqual([
      { Image: BOOT_ISO, ...p.expect.body },
    ]);
    await bmc.bootOnceFromCd();
    expect(fake.boot).toEqual({
      BootSourceOverrideEnabled: "Once",
      BootSourceOverrideTarget: p.expect.target,
      BootSourceOverrideMode: "UEFI",
    });
    await bmc.powerOn();
    expect(await bmc.powerState()).toBe("On");

    await bmc.powerOff();
    expect(await bmc.ejectAll()).toBe(1);
    expect(await bmc.ejectAll(), "nothing is left").toBe(0);
    await bmc.clearBootOverride();
    expect(fake.boot.BootSourceOverrideEnabled).toBe("Disabled");
    await bmc.close();
    expect(fake.sessions.size, "R25: the session is deleted").toBe(0);
    expect(logged.join("\n"), "R19, R53").not.toContain("canary");
  });
});

test("a second medium goes into the second slot where two are offered", async () => {
  const { fake, bmc } = setUp("iDRAC9 6.x");
  const { slots } = await bmc.probe(SERIAL);
  expect(slots.map((s) => s.id)).toEqual(["1", "2"]);
  for (const [i, slot] of slots.entries()) await bmc.insert(slot, `https://192.0.2.1/m/${i}/x.iso`);
  expect(fake.media()).toHaveLength(2);
  expect(await bmc.ejectAll()).toBe(2);
});

test("a refused insert says why and does not quote the media URL", async () => {
  const { fake, bmc } = setUp("HPE iLO5");
  const [slot] = (await bmc.probe(SERIAL)).slots;
  if (slot === undefined) throw new RangeError("no slot");
  fake.fault = (seen) =>
    seen.path.endsWith("/Insert")
      ? Response.json(
          { error: { message: `License missing for ${BOOT_ISO}`, "@Message.ExtendedInfo": [] } },
          { status: 400 },
        )
      : undefined;
  const error = await bmc.insert(slot, BOOT_ISO).catch((e) => e);
  expect(describeError(error)).toContain("HTTP 400: License missing for https://192.0.2.1…");
  expect(describeError(error)).not.toContain("canary");
});

test("R19 a media token is not shown either where a BMC spells its URL in its own way", async () => {
  const { fake, bmc } = setUp("Supermicro");
  const { slots } = await bmc.probe(SERIAL);
  const [slot] = slots;
  if (slot === undefined) throw new Error("The fake has a slot");
  const page = JSON.stringify({ reason: `cannot open ${BOOT_ISO}` }).replaceAll("/", "\\/");
  fake.fault = ({ method }) =>
    method === "POST" ? new Response(page, { status: 400 }) : undefined;
  const error = await bmc.insert(slot, BOOT_ISO).catch((e) => e);
  expect(describeError(error)).toContain("cannot open https:");
  expect(describeError(error)).not.toContain("canary");
});
