// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { messageKey, testBmc } from "./fake-machine.ts";

const SYSTEM = "/redfish/v1/Systems/1";
const RESET = `${SYSTEM}/Actions/ComputerSystem.Reset`;
const INSERT = `${SYSTEM}/VirtualMedia/1/Actions/VirtualMedia.InsertMedia`;
const EJECT = `${SYSTEM}/VirtualMedia/1/Actions/VirtualMedia.EjectMedia`;
const IMAGE = "http://192.0.2.1/m/tok/boot.iso";

describe("requests that a BMC refuses", () => {
  const image = (Image: string) => ({ Image });
  const boot = (Boot: unknown) => ({ Boot });
  const refused: readonly [string, string, string, unknown, number, string][] = [
    ["an unknown resource", "GET", "/redfish/v1/Nothing", undefined, 404, "ResourceMissingAtURI"],
    ["a reset without a type", "POST", RESET, {}, 400, "ActionParameterMissing"],
    ["an unknown reset", "POST", RESET, { ResetType: "Nmi" }, 400, "ActionParameterValueNotInList"],
    [
      "a reset with more",
      "POST",
      RESET,
      { ResetType: "On", Force: 1 },
      400,
      "ActionParameterUnknown",
    ],
    ["another property", "PATCH", SYSTEM, { AssetTag: "x" }, 400, "PropertyUnknown"],
    ["another boot property", "PATCH", SYSTEM, boot({ BootNext: "1" }), 400, "PropertyUnknown"],
    [
      "a boot target it has not",
      "PATCH",
      SYSTEM,
      boot({ BootSourceOverrideTarget: "UsbCd" }),
      400,
      "PropertyValueNotInList",
    ],
    ["an insert without image", "POST", INSERT, {}, 400, "ActionParameterMissing"],
    [
      "an unknown parameter",
      "POST",
      INSERT,
      { ...image(IMAGE), Foo: 1 },
      400,
      "ActionParameterUnknown",
    ],
    [
      "the protocol type URI",
      "POST",
      INSERT,
      { ...image(IMAGE), TransferProtocolType: "URI" },
      400,
      "ActionParameterValueNotInList",
    ],
    ["an eject with a parameter", "POST", EJECT, { Slot: 1 }, 400, "ActionParameterUnknown"],
    ["a body that is no object", "POST", RESET, [], 400, "MalformedJSON"],
  ];
  test.each(refused)("%s", async (_name, method, path, body, status, key) => {
    const answer = await testBmc("two-slot").send(method, path, body);
    expect([answer.status, messageKey(answer)]).toEqual([status, key]);
  });
});

describe("image URLs", () => {
  const urls: readonly [string, number, string | undefined][] = [
    [IMAGE, 204, undefined],
    ["https://192.0.2.1/m/tok/task.img", 204, undefined],
    ["http://192.0.2.1/m/tok/boot.iso?x=1", 400, "ActionParameterValueFormatError"],
    ["http://192.0.2.1/m/tok/boot", 400, "ActionParameterValueFormatError"],
    ["http://192.0.2.1/m/a:b/boot.iso", 400, "ActionParameterValueFormatError"],
    ["http://user@192.0.2.1/boot.iso", 400, "ActionParameterValueFormatError"],
    ["nfs://192.0.2.1/boot.iso", 400, "ActionParameterValueFormatError"],
    [`http://192.0.2.1/${"x".repeat(250)}.iso`, 400, "ActionParameterValueFormatError"],
    ["http://192.0.2.1/missing.iso", 400, "CouldNotEstablishConnection"],
    ["http://192.0.2.1/moved.iso", 400, "CouldNotEstablishConnection"],
    ["http://192.0.2.1/unsized.iso", 400, "CouldNotEstablishConnection"],
    ["http://192.0.2.1/dead.iso", 400, "CouldNotEstablishConnection"],
  ];
  test.each(urls)("%s", async (Image, status, key) => {
    const answer = await testBmc("two-slot").send("POST", INSERT, { Image });
    expect([answer.status, messageKey(answer)]).toEqual([status, key]);
  });
});

describe("power and boot", () => {
  const once = { Boot: { BootSourceOverrideEnabled: "Once", BootSourceOverrideTarget: "Cd" } };

  test("a one-time override boots the CD once, then the disk", async () => {
    const bmc = testBmc("two-slot");
    await bmc.send("POST", INSERT, { Image: IMAGE });
    expect((await bmc.send("PATCH", SYSTEM, once)).status).toBe(204);
    expect((await bmc.send("GET", SYSTEM)).body.Boot.BootSourceOverrideEnabled).toBe("Once");
    await bmc.send("POST", RESET, { ResetType: "On" });
    const { body } = await bmc.send("GET", SYSTEM);
    expect([body.PowerState, body.Boot.BootSourceOverrideEnabled]).toEqual(["On", "Disabled"]);
    bmc.machine.reboot();
    expect(bmc.machine.history).toEqual(["insert 0 4096", "boot drive 0", "boot disk"]);
  });

  test("a continuous override stays", async () => {
    const bmc = testBmc("two-slot");
    await bmc.send("POST", INSERT, { Image: IMAGE });
    const change = { ...once.Boot, BootSourceOverrideEnabled: "Continuous" };
    await bmc.send("PATCH", SYSTEM, { Boot: change });
    await bmc.send("POST", RESET, { ResetType: "On" });
    await bmc.send("POST", RESET, { ResetType: "ForceRestart" });
    expect(bmc.machine.history.slice(1)).toEqual(["boot drive 0", "off", "boot drive 0"]);
  });

  test("a refused change changes nothing", async () => {
    const bmc = testBmc("two-slot");
    const change = { ...once.Boot, BootSourceOverrideMode: "Legacy" };
    expect((await bmc.send("PATCH", SYSTEM, { Boot: change })).status).toBe(400);
    const { body } = await bmc.send("GET", SYSTEM);
    expect(body.Boot.BootSourceOverrideEnabled).toBe("Disabled");
  });

  test("resets that change nothing: 204, or 409 on a Dell", async () => {
    const lax = testBmc("two-slot");
    expect((await lax.send("POST", RESET, { ResetType: "ForceOff" })).status).toBe(204);
    const strict = testBmc("idrac9");
    const path = "/redfish/v1/Systems/System.Embedded.1/Actions/ComputerSystem.Reset";
    expect((await strict.send("POST", path, { ResetType: "ForceOff" })).status).toBe(409);
  });

  test("an iLO takes no settings during POST", async () => {
    const bmc = testBmc("ilo5");
    await bmc.send("POST", RESET, { ResetType: "On" });
    expect(messageKey(await bmc.send("PATCH", SYSTEM, once))).toBe(
      "UnableToModifyDuringSystemPOST",
    );
    bmc.time.now += 1000;
    expect((await bmc.send("PATCH", SYSTEM, once)).status).toBe(204);
  });
});

describe("ETags", () => {
  test("If-Match must be the present ETag", async () => {
    const bmc = testBmc("two-slot");
    const change = { Boot: { BootSourceOverrideEnabled: "Once" } };
    const etag = (await bmc.send("GET", SYSTEM)).headers.get("etag") ?? "";
    expect(etag).toMatch(/^W\/"/);
    expect((await bmc.send("PATCH", SYSTEM, change, { "If-Match": 'W/"0"' })).status).toBe(412);
    expect((await bmc.send("PATCH", SYSTEM, change, { "If-Match": etag })).status).toBe(204);
    expect((await bmc.send("PATCH", SYSTEM, change, { "If-Match": etag })).status).toBe(412);
  });

  test("some require it", async () => {
    const bmc = testBmc("xcc");
    expect((await bmc.send("PATCH", SYSTEM, { Boot: {} })).status).toBe(428);
  });
});

describe("faults", () => {
  test("set and shown without credentials at /lab/faults", async () => {
    const bmc = testBmc("two-slot");
    expect((await bmc.sendBare("PATCH", "/lab/faults", { resetIgnored: 1 })).status).toBe(200);
    await bmc.send("POST", RESET, { ResetType: "On" });
    expect(bmc.machine.power()).toBe("Off");
    await bmc.send("POST", RESET, { ResetType: "On" });
    expect(bmc.machine.power()).toBe("On");
    expect((await bmc.sendBare("GET", "/lab/faults")).body.resetIgnored).toBe(0);
    for (const wrong of [{ typo: 1 }, { resetIgnored: "1" }, []]) {
      expect((await bmc.sendBare("PATCH", "/lab/faults", wrong)).status).toBe(400);
    }
  });

  test("HTTP errors are counted down", async () => {
    const bmc = testBmc("two-slot", { httpErrors: { status: 502, count: 2 } });
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await bmc.send("GET", SYSTEM)).status);
    expect(statuses).toEqual([502, 502, 200]);
  });

  test("inserts fail, then work", async () => {
    const bmc = testBmc("two-slot", { insertFails: 1 });
    expect((await bmc.send("POST", INSERT, { Image: IMAGE })).status).toBe(500);
    expect((await bmc.send("POST", INSERT, { Image: IMAGE })).status).toBe(204);
    expect((await bmc.send("POST", INSERT, { Image: IMAGE })).status).toBe(500);
  });

  test("media that are never read, overrides that are ignored", async () => {
    const bmc = testBmc("two-slot", { neverReadsMedia: true, overrideIgnored: true });
    await bmc.send("POST", INSERT, { Image: IMAGE });
    const slot = await bmc.send("GET", `${SYSTEM}/VirtualMedia/1`);
    expect(slot.body.Inserted).toBeTrue();
    const once = { BootSourceOverrideEnabled: "Once", BootSourceOverrideTarget: "Cd" };
    await bmc.send("PATCH", SYSTEM, { Boot: once });
    await bmc.send("POST", RESET, { ResetType: "On" });
    expect(bmc.machine.history).toEqual(["boot disk"]);
  });

  test("a slow eject still shows the medium, and refuses the next one", async () => {
    const bmc = testBmc("two-slot", { ejectSlow: 5000 });
    await bmc.send("POST", INSERT, { Image: IMAGE });
    expect((await bmc.send("POST", EJECT)).status).toBe(204);
    expect((await bmc.send("GET", `${SYSTEM}/VirtualMedia/1`)).body.Inserted).toBeTrue();
    expect((await bmc.send("POST", INSERT, { Image: IMAGE })).status).toBe(500);
    bmc.time.now += 5000;
    expect((await bmc.send("GET", `${SYSTEM}/VirtualMedia/1`)).body.Inserted).toBeFalse();
    expect((await bmc.send("POST", INSERT, { Image: IMAGE })).status).toBe(204);
  });

  test("no virtual media", async () => {
    const bmc = testBmc("two-slot", { noVirtualMedia: true });
    expect((await bmc.send("GET", SYSTEM)).body.VirtualMedia).toBeUndefined();
    expect((await bmc.send("GET", `${SYSTEM}/VirtualMedia`)).status).toBe(404);
    expect((await bmc.send("POST", INSERT, { Image: IMAGE })).status).toBe(404);
  });
});
