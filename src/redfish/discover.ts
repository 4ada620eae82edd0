// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import { arrayAt, stringAt } from "../base/json.ts";
import { seconds } from "../base/units.ts";
import { allowableValues } from "./answer.ts";
import type { Capabilities } from "./capabilities.ts";
import type { Connection, ConnectionDeps, Resource } from "./connection.ts";
import { type Quirks, quirksOf } from "./quirks.ts";
import { SERVICE_ROOT } from "./session.ts";
import { chooseSlots, deliveryOf, readMembers, readSlots, type SlotTrees } from "./slots.ts";
import { pollUntil } from "./wait.ts";

/** What was found behind a BMC by following links from the service root. */
export interface Discovery {
  readonly system: Resource;
  readonly trees: SlotTrees;
  readonly quirks: Quirks;
  readonly capabilities: Capabilities;
}

/** An iDRAC shows no systems for about 70 s after its lifecycle controller was reset. */
const SYSTEMS_TIMEOUT = seconds(90);
const SYSTEMS_POLL = seconds(5);

/**
 * Finds the server and its virtual media. Reads only.
 *
 * @param serial DMI product serial of the server; null: the BMC must have one server only.
 * @throws {ProvError} `SERVER_MISMATCH` when no server of this BMC has the serial.
 */
export async function discover(
  connection: Connection,
  deps: ConnectionDeps,
  serial: string | null,
): Promise<Discovery> {
  const root = await connection.get(SERVICE_ROOT);
  const systems = await readSystems(connection, root, deps);
  const rootVendor = stringAt(root.body, "Vendor");
  const serialsOf = (system: Resource) => systemSerials(system, rootVendor);
  const system = pickSystem(systems, serialsOf, serial);
  const managers = await readManagers(connection, root, system);
  const names = [
    rootVendor,
    stringAt(system.body, "Manufacturer"),
    ...managers.flatMap(({ body }) => [stringAt(body, "Manufacturer"), stringAt(body, "Model")]),
  ].filter((name) => name !== undefined);
  const quirks = quirksOf(names);
  const trees = await readSlots(connection, system, managers, quirks);
  const boot = system.body.Boot;
  return {
    system,
    trees,
    quirks,
    capabilities: {
      vendor: names[0] ?? "unknown",
      model: stringAt(system.body, "Model") ?? "unknown",
      bmcFirmware:
        managers
          .map(({ body }) => stringAt(body, "FirmwareVersion"))
          .find((v) => v !== undefined) ?? "unknown",
      systemPath: system.path,
      systemSerial: serialsOf(system)[0] ?? null,
      slots: chooseSlots(trees),
      bootTargets: allowableValues(boot, "BootSourceOverrideTarget") ?? [],
      bootModes:
        allowableValues(boot, "BootSourceOverrideMode") ??
        [stringAt(boot, "BootSourceOverrideMode")].filter((mode) => mode !== undefined),
      tlsFingerprint: null,
      delivery: deliveryOf(trees, quirks),
    },
  };
}

async function readSystems(
  connection: Connection,
  root: Resource,
  deps: ConnectionDeps,
): Promise<readonly Resource[]> {
  const link = stringAt(root.body, "Systems", "@odata.id");
  if (link === undefined) {
    throw new ProvError("Cannot find a server behind the BMC: its service root has no Systems", {
      code: "BMC_UNSUPPORTED",
    });
  }
  const { value } = await pollUntil(
    deps,
    { timeout: SYSTEMS_TIMEOUT, every: SYSTEMS_POLL },
    { read: () => readMembers(connection, link), done: (systems) => systems.length > 0 },
  );
  return value;
}

/** The managers of the system, or all of them where the system names none. */
async function readManagers(
  connection: Connection,
  root: Resource,
  system: Resource,
): Promise<readonly Resource[]> {
  const links = arrayAt(system.body, "Links", "ManagedBy")
    .map((link) => stringAt(link, "@odata.id"))
    .filter((link) => link !== undefined);
  if (links.length > 0) {
    const managers: Resource[] = [];
    for (const link of links) managers.push(await connection.get(link));
    return managers;
  }
  const all = stringAt(root.body, "Managers", "@odata.id");
  return all === undefined ? [] : readMembers(connection, all);
}

function systemSerials(system: Resource, rootVendor: string | undefined): readonly string[] {
  const names = [rootVendor, stringAt(system.body, "Manufacturer")].filter((n) => n !== undefined);
  return quirksOf(names)
    .serialFields.map((field) => stringAt(system.body, field)?.trim())
    .filter((value) => value !== undefined && value !== "")
    .map(String);
}

function pickSystem(
  systems: readonly Resource[],
  serialsOf: (system: Resource) => readonly string[],
  serial: string | null,
): Resource {
  const [only, ...others] = systems;
  const isOnly = only !== undefined && others.length === 0;
  // A BMC that tells no serial is not contradicted: the agent compares DMI before it writes anything.
  if (isOnly && (serial === null || serialsOf(only).length === 0)) return only;
  const wanted = serial?.trim().toLowerCase();
  const match = systems.find((s) => serialsOf(s).some((found) => found.toLowerCase() === wanted));
  if (match !== undefined) return match;
  const found = systems.map((s) => `${s.path} (${serialsOf(s).join(", ") || "no serial"})`);
  const which = serial === null ? "a server" : `server "${serial}"`;
  throw new ProvError(
    `Cannot find ${which} behind the BMC: it has ${found.join(", ") || "no systems"}`,
    {
      code: "SERVER_MISMATCH",
      hint: "Correct the server's serial, or the BMC address of the server.",
    },
  );
}
