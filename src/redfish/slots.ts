// SPDX-License-Identifier: AGPL-3.0-or-later
import { arrayAt, at, stringAt } from "../base/json.ts";
import { allowableValues } from "./answer.ts";
import { type Delivery, isOptical, MEDIA_KINDS, type MediaSlot } from "./capabilities.ts";
import type { Connection, Resource } from "./connection.ts";
import { pathOf } from "./exchange.ts";
import type { Quirks } from "./quirks.ts";

/** The slots of a server's BMC, by where they hang. Both trees often show the same drives. */
export interface SlotTrees {
  readonly ofSystem: readonly MediaSlot[];
  readonly ofManagers: readonly MediaSlot[];
  /** For people: every VirtualMedia resource that was looked at, and why it is no use. */
  readonly looked: readonly string[];
}

/** The slots to use: the system's where it has any, since BMCs that moved them answer lies on the old path. */
export function chooseSlots(trees: SlotTrees): readonly MediaSlot[] {
  return trees.ofSystem.some(isOptical) ? trees.ofSystem : trees.ofManagers;
}

/** See DESIGN.md, Media. */
export function deliveryOf(trees: SlotTrees, quirks: Quirks): Delivery | null {
  const slots = chooseSlots(trees);
  const optical = slots.filter(isOptical).length;
  if (optical === 0) return null;
  const onlyOne =
    quirks.oneMedium === "always" ||
    (quirks.oneMedium === "under-managers" && slots === trees.ofManagers);
  if (onlyOne) return "combined";
  if (optical >= 2) return "dual";
  return slots.some((s) => !isOptical(s) && s.kinds.includes("USBStick")) ? "usb" : "combined";
}

/** Reads the VirtualMedia collections of a system and its managers. */
export async function readSlots(
  connection: Connection,
  system: Resource,
  managers: readonly Resource[],
  quirks: Quirks,
): Promise<SlotTrees> {
  const looked: string[] = [];
  const ofSystem = await slotsOf(connection, system, quirks, looked);
  const ofManagers: MediaSlot[] = [];
  for (const manager of managers) {
    ofManagers.push(...(await slotsOf(connection, manager, quirks, looked)));
  }
  return { ofSystem: bootFirst(ofSystem), ofManagers: bootFirst(ofManagers), looked };
}

/** Firmware that boots from one slot only takes the lowest: iDRAC10 that with Id 1. */
const bootFirst = (slots: readonly MediaSlot[]): readonly MediaSlot[] =>
  slots.toSorted(
    (a, b) =>
      Number(isOptical(b)) - Number(isOptical(a)) ||
      a.id.localeCompare(b.id, "en", { numeric: true }),
  );

async function slotsOf(
  connection: Connection,
  owner: Resource,
  quirks: Quirks,
  looked: string[],
): Promise<MediaSlot[]> {
  const link = stringAt(owner.body, "VirtualMedia", "@odata.id");
  if (link === undefined) {
    looked.push(`${owner.path} has no VirtualMedia`);
    return [];
  }
  const slots: MediaSlot[] = [];
  for (const resource of await readMembers(connection, link)) {
    const slot = await toSlot(connection, resource, quirks);
    if (typeof slot === "string") looked.push(`${resource.path} ${slot}`);
    else slots.push(slot);
  }
  if (slots.length === 0) looked.push(`${pathOf(link)} has no usable slot`);
  return slots;
}

/** The slot, or why it cannot be used. */
async function toSlot(
  connection: Connection,
  resource: Resource,
  quirks: Quirks,
): Promise<MediaSlot | string> {
  const { body, path, allow } = resource;
  const id = stringAt(body, "Id") ?? path.split("/").findLast((part) => part !== "") ?? path;
  if (quirks.slotIds !== null && !quirks.slotIds.test(id)) return "serves another purpose";
  const kinds = MEDIA_KINDS.filter((kind) => arrayAt(body, "MediaTypes").includes(kind));
  if (kinds.length === 0) return "takes none of CD, DVD, USBStick, Floppy";
  const action = at(body, "Actions", "#VirtualMedia.InsertMedia");
  const insertTarget = stringAt(action, "target");
  if (insertTarget === undefined && !allow.includes("PATCH")) {
    return "has neither an InsertMedia action nor PATCH";
  }
  const ejectTarget = stringAt(body, "Actions", "#VirtualMedia.EjectMedia", "target");
  return {
    path,
    id,
    kinds,
    insert: insertTarget === undefined ? "patch" : "action",
    ...(insertTarget !== undefined && { insertTarget: pathOf(insertTarget) }),
    ...(ejectTarget !== undefined && { ejectTarget: pathOf(ejectTarget) }),
    protocols:
      (await parameterValues(connection, action, "TransferProtocolType")) ?? quirks.protocols,
  };
}

/**
 * The values a parameter of an action may take, from the action itself or from its ActionInfo
 * (DSP0266, "Action info annotation"); undefined when the BMC does not say.
 */
export async function parameterValues(
  connection: Connection,
  action: unknown,
  name: string,
): Promise<readonly string[] | undefined> {
  const inline = allowableValues(action, name);
  if (inline !== undefined) return inline;
  const link = stringAt(action, "@Redfish.ActionInfo");
  if (link === undefined) return undefined;
  const info = await connection.read(pathOf(link));
  const parameter = arrayAt(info.body, "Parameters").find((p) => stringAt(p, "Name") === name);
  const values = arrayAt(parameter, "AllowableValues").filter((v) => typeof v === "string");
  return values.length > 0 ? values : undefined;
}

/** No collection prov reads has more pages; a BMC whose pages lead in a circle must end somewhere. */
const MOST_PAGES = 50;

/** Every member of a collection, page by page. */
export async function readMembers(connection: Connection, link: string): Promise<Resource[]> {
  const members: Resource[] = [];
  let next: string | undefined = link;
  for (let page = 0; next !== undefined && page < MOST_PAGES; page++) {
    const collection: Resource = await connection.get(next);
    for (const member of arrayAt(collection.body, "Members")) {
      const id = stringAt(member, "@odata.id");
      if (id !== undefined) members.push(await connection.get(id));
    }
    next = stringAt(collection.body, "Members@odata.nextLink");
  }
  return members;
}
