// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { PERSONALITIES, type PersonalityName } from "../../../src/lab/bmc/personality.ts";
import { type Answer, type TestBmc, testBmc } from "./fake-machine.ts";

const NAMES = Object.keys(PERSONALITIES) as PersonalityName[];

/** Follows links only, and fulfils each demand that the personality's row names. */
async function discover(bmc: TestBmc) {
  const root = (await bmc.sendBare("GET", "/redfish/v1/")).body;
  const first = async (collection: string) =>
    (await bmc.send("GET", collection)).body.Members[0]["@odata.id"] as string;
  const system = await first(root.Systems["@odata.id"]);
  const manager = await first(root.Managers["@odata.id"]);
  const owners = [await bmc.send("GET", system), await bmc.send("GET", manager)];
  const media = owners.map((o) => o.body.VirtualMedia?.["@odata.id"]).find((p) => p !== undefined);
  const slots: string[] = [];
  for (const member of (await bmc.send("GET", media)).body.Members) {
    const slot = (await bmc.send("GET", member["@odata.id"])).body;
    if (slot.MediaTypes.includes("CD")) slots.push(member["@odata.id"]);
  }
  return { system, slots };
}

async function change(bmc: TestBmc, path: string, body: unknown): Promise<Answer> {
  const etag = (await bmc.send("GET", path)).headers.get("etag") ?? "";
  return bmc.send("PATCH", path, body, { "If-Match": etag });
}

async function media(bmc: TestBmc, slot: string, image: string | null): Promise<number> {
  const { Actions } = (await bmc.send("GET", slot)).body;
  if (Actions === undefined) return (await change(bmc, slot, { Image: image })).status;
  const extra = { TransferProtocolType: "HTTPS", TransferMethod: "Stream" };
  const answer =
    image === null
      ? await bmc.send("POST", Actions["#VirtualMedia.EjectMedia"].target, {})
      : await bmc.send("POST", Actions["#VirtualMedia.InsertMedia"].target, {
          Image: image,
          ...extra,
        });
  if (answer.status === 202) {
    const task = await bmc.send("GET", answer.headers.get("location") ?? "");
    expect(task.body.TaskState).toBe("Completed");
  }
  return answer.status;
}

describe("R22 every personality: insert, verify, override, power, eject", () => {
  test.each(NAMES)("%s", async (name) => {
    const personality = PERSONALITIES[name];
    const bmc = testBmc(name);
    const { system, slots } = await discover(bmc);
    const slot = slots[0] ?? "";
    const done = personality.mediaTasks ? 202 : 204;

    expect(await media(bmc, slot, "https://192.0.2.1/m/tok/boot.iso")).toBe(done);
    bmc.time.now += personality.insertedAfterMs;
    const filled = (await bmc.send("GET", slot)).body;
    expect([filled.Inserted, filled.ConnectedVia]).toEqual([true, "URI"]);

    const { Boot, Actions } = (await bmc.send("GET", system)).body;
    const targets: string[] = Boot["BootSourceOverrideTarget@Redfish.AllowableValues"];
    const target = targets.find((t) => t.endsWith("Cd"));
    const once = { BootSourceOverrideEnabled: "Once", BootSourceOverrideTarget: target };
    expect((await change(bmc, system, { Boot: once })).status).toBe(204);
    const reset = Actions["#ComputerSystem.Reset"].target;
    expect((await bmc.send("POST", reset, { ResetType: "On" })).status).toBe(204);
    expect((await bmc.send("GET", system)).body.PowerState).toBe("On");
    const drive = personality.slots.findIndex((s) => s.mediaTypes.some((type) => type === "CD"));
    expect(bmc.machine.history).toContain(`boot drive ${drive}`);

    expect((await bmc.send("POST", reset, { ResetType: "ForceOff" })).status).toBe(204);
    expect(await media(bmc, slot, null)).toBe(done);
    const empty = (await bmc.send("GET", slot)).body;
    expect([empty.Inserted, empty.ConnectedVia]).toEqual([false, "NotConnected"]);
    expect(empty.Image === null).toBe(!personality.keepsImage);
  });
});

test("a late BMC shows the medium after a while", async () => {
  const bmc = testBmc("supermicro");
  const { slots } = await discover(bmc);
  await media(bmc, slots[0] ?? "", "https://192.0.2.1/m/tok/boot.iso");
  expect((await bmc.send("GET", slots[0] ?? "")).body.Inserted).toBeFalse();
  bmc.time.now += 300;
  expect((await bmc.send("GET", slots[0] ?? "")).body.Inserted).toBeTrue();
});

test("a task tells why an insert failed", async () => {
  const bmc = testBmc("one-slot");
  const path = "/redfish/v1/Managers/1/VirtualMedia/CD1/Actions/VirtualMedia.InsertMedia";
  const answer = await bmc.send("POST", path, { Image: "http://192.0.2.1/missing.iso" });
  const task = (await bmc.send("GET", answer.headers.get("location") ?? "")).body;
  expect([task.TaskState, task.TaskStatus]).toEqual(["Exception", "Critical"]);
  expect(task.Messages[0].MessageId).toEndWith("CouldNotEstablishConnection");
});

test("an old iDRAC has two slots and mounts one medium", async () => {
  const bmc = testBmc("idrac9-old");
  const slots = "/redfish/v1/Managers/iDRAC.Embedded.1/VirtualMedia";
  const image = "https://192.0.2.1/m/tok/task.img";
  expect(await media(bmc, `${slots}/CD`, image)).toBe(204);
  expect(await media(bmc, `${slots}/RemovableDisk`, image)).toBe(500);
});

test("an iDRAC10 boots its first slot only", async () => {
  const bmc = testBmc("idrac10");
  const { system, slots } = await discover(bmc);
  await media(bmc, slots[1] ?? "", "https://192.0.2.1/m/tok/boot.iso");
  const once = { BootSourceOverrideEnabled: "Once", BootSourceOverrideTarget: "Cd" };
  await change(bmc, system, { Boot: once });
  await bmc.send("POST", `${system}/Actions/ComputerSystem.Reset`, { ResetType: "On" });
  expect(bmc.machine.history).toContain("boot disk");
});

test("OpenBMC reads from https only, and wants the transfer method", async () => {
  const bmc = testBmc("openbmc");
  const path = "/redfish/v1/Managers/bmc/VirtualMedia/Slot_0/Actions/VirtualMedia.InsertMedia";
  const Image = "https://192.0.2.1/m/tok/boot.iso";
  const insert = async (body: unknown) => (await bmc.send("POST", path, body)).status;
  expect(await insert({ Image })).toBe(400);
  expect(await insert({ Image: Image.replace("https", "http"), TransferMethod: "Stream" })).toBe(
    400,
  );
  expect(await insert({ Image, TransferMethod: "Stream" })).toBe(204);
});
