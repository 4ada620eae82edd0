// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Hono } from "hono";
import { type BmcContext, collection, managerPath, systemPath } from "./context.ts";

/** The BMC itself. */
export function addManagerRoutes(app: Hono, bmc: BmcContext): void {
  const path = managerPath(bmc);
  app.get("/redfish/v1/Managers", (c) =>
    c.json(collection("/redfish/v1/Managers", "Manager", [path])),
  );
  app.get(path, (c) => c.json(renderManager(bmc)));
}

function renderManager(bmc: BmcContext): unknown {
  const { personality, faults } = bmc;
  const path = managerPath(bmc);
  const media = { VirtualMedia: { "@odata.id": `${path}/VirtualMedia` } };
  return {
    "@odata.id": path,
    "@odata.type": "#Manager.v1_13_0.Manager",
    Id: personality.managerId,
    Name: "Manager",
    ManagerType: "BMC",
    Manufacturer: personality.manufacturer,
    Model: personality.model,
    FirmwareVersion: personality.firmware,
    Status: { State: "Enabled", Health: "OK" },
    Links: { ManagerForServers: [{ "@odata.id": systemPath(bmc) }] },
    ...(personality.mediaUnder === "Managers" && !faults.noVirtualMedia && media),
  };
}
