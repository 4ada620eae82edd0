// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Hono } from "hono";
import type { JsonObject } from "../../base/json.ts";
import { allowedBoot, changeOverride, takeBoot } from "./boot-override.ts";
import { type BmcContext, checkMatch, collection, systemEtag, systemPath } from "./context.ts";
import { jsonBody } from "./json-body.ts";
import {
  parameterMissing,
  parameterNotInList,
  parameterUnknown,
  propertyUnknown,
  Refusal,
} from "./refusal.ts";

const RESET_TYPES = ["On", "ForceOff", "GracefulShutdown", "ForceRestart"] as const;
type ResetType = (typeof RESET_TYPES)[number];

/** The server: identity, power and boot override. */
export function addSystemRoutes(app: Hono, bmc: BmcContext): void {
  const path = systemPath(bmc);
  app.get("/redfish/v1/Systems", (c) =>
    c.json(collection("/redfish/v1/Systems", "ComputerSystem", [path])),
  );
  app.get(path, (c) => {
    c.header("ETag", systemEtag(bmc));
    return c.json(renderSystem(bmc));
  });
  app.patch(path, async (c) => {
    checkMatch(bmc, c.req.header("if-match"), systemEtag(bmc));
    changeSystem(bmc, await jsonBody(c.req.raw));
    return c.body(null, 204);
  });
  app.post(`${path}/Actions/ComputerSystem.Reset`, async (c) => {
    await resetSystem(bmc, parseReset(await jsonBody(c.req.raw)));
    return c.body(null, 204);
  });
}

function renderSystem(bmc: BmcContext): Record<string, unknown> {
  const { personality, faults } = bmc;
  const path = systemPath(bmc);
  const allowed = Object.entries(allowedBoot(personality)).map(([name, values]) => [
    `${name}@Redfish.AllowableValues`,
    values,
  ]);
  const media = { VirtualMedia: { "@odata.id": `${path}/VirtualMedia` } };
  return {
    "@odata.id": path,
    "@odata.type": "#ComputerSystem.v1_16_0.ComputerSystem",
    "@odata.etag": systemEtag(bmc),
    Id: personality.systemId,
    Name: "System",
    SystemType: "Physical",
    Manufacturer: personality.manufacturer,
    Model: personality.model,
    ...(personality.serialIn === "SKU"
      ? { SKU: bmc.serial, SerialNumber: `BOARD-${bmc.serial}` }
      : { SKU: "", SerialNumber: bmc.serial }),
    PowerState: bmc.machine.power(),
    Status: { State: "Enabled", Health: "OK" },
    Boot: { ...bmc.boot, ...Object.fromEntries(allowed) },
    Links: {
      ManagedBy: [{ "@odata.id": `/redfish/v1/Managers/${personality.managerId}` }],
    },
    ...(personality.mediaUnder === "Systems" && !faults.noVirtualMedia && media),
    Actions: {
      "#ComputerSystem.Reset": {
        target: `${path}/Actions/ComputerSystem.Reset`,
        "ResetType@Redfish.AllowableValues": RESET_TYPES,
      },
    },
  };
}

function changeSystem(bmc: BmcContext, body: JsonObject): void {
  const unknown = Object.keys(body).find((name) => name !== "Boot");
  if (unknown !== undefined) throw propertyUnknown(unknown);
  const inPost = bmc.now() - bmc.state.startedAt < bmc.personality.postMs;
  if (inPost && bmc.machine.power() === "On") {
    const message = "The value cannot be changed while the system is in POST.";
    throw new Refusal(400, "iLO.2.14.UnableToModifyDuringSystemPOST", message);
  }
  changeOverride(bmc.boot, body.Boot, bmc.personality);
  bmc.state.systemVersion++;
}

function parseReset(body: JsonObject): ResetType {
  const unknown = Object.keys(body).find((name) => name !== "ResetType");
  if (unknown !== undefined) throw parameterUnknown("ComputerSystem.Reset", unknown);
  if (body.ResetType === undefined) throw parameterMissing("ComputerSystem.Reset", "ResetType");
  const type = RESET_TYPES.find((t) => t === body.ResetType);
  if (type === undefined) {
    throw parameterNotInList("ComputerSystem.Reset", "ResetType", body.ResetType);
  }
  return type;
}

async function resetSystem(bmc: BmcContext, type: ResetType): Promise<void> {
  const { machine, faults } = bmc;
  const isVain = (type === "On") === (machine.power() === "On");
  if (isVain && bmc.personality.refusesVainReset) {
    const message = `The system is already in the power state that ${type} leads to, or cannot be reset from it.`;
    throw new Refusal(409, "Base.1.12.ResourceInStandby", message);
  }
  if (faults.resetIgnored > 0) {
    faults.resetIgnored--;
    return;
  }
  if (type === "GracefulShutdown") {
    await machine.pressPowerButton();
    return;
  }
  if (type !== "On") await machine.forceOff();
  if (type !== "ForceOff") await start(bmc);
}

async function start(bmc: BmcContext): Promise<void> {
  bmc.state.startedAt = bmc.now();
  await bmc.machine.powerOn(() => {
    const choice = takeBoot(bmc.boot, bmc.slots, bmc.personality);
    bmc.state.systemVersion++;
    return bmc.faults.overrideIgnored ? "disk" : choice;
  });
}
