// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Context, Hono } from "hono";
import type { JsonObject } from "../../base/json.ts";
import { type BmcContext, checkMatch, collection, managerPath, systemPath } from "./context.ts";
import { checkImageUrl, findImage } from "./image.ts";
import { jsonBody, optionalJsonBody } from "./json-body.ts";
import { emptySlot, fillSlot, type MediaSlot, showsInserted } from "./media-slot.ts";
import {
  notFound,
  parameterMissing,
  parameterNotInList,
  parameterUnknown,
  propertyUnknown,
  Refusal,
} from "./refusal.ts";
import { acceptedTask } from "./service-routes.ts";

const INSERT = "VirtualMedia.InsertMedia";

/** InsertMedia's parameters (DSP2046, VirtualMedia 1.5), with the values an enumeration allows. */
const PARAMETERS: Readonly<Record<string, readonly string[] | undefined>> = {
  Image: undefined,
  Inserted: undefined,
  WriteProtected: undefined,
  UserName: undefined,
  Password: undefined,
  MediaType: ["CD", "DVD", "Floppy", "USBStick"],
  TransferMethod: ["Stream", "Upload"],
  TransferProtocolType: ["HTTP", "HTTPS", "NFS", "CIFS"],
};

export function addMediaRoutes(app: Hono, bmc: BmcContext): void {
  const owner = bmc.personality.mediaUnder === "Systems" ? systemPath(bmc) : managerPath(bmc);
  const path = `${owner}/VirtualMedia`;
  app.use(`${path}/*`, async (c, next) => {
    if (bmc.faults.noVirtualMedia) throw notFound(c.req.path);
    await next();
  });
  app.get(path, (c) =>
    c.json(
      collection(
        path,
        "VirtualMedia",
        bmc.slots.map((s) => `${path}/${s.model.id}`),
      ),
    ),
  );
  for (const slot of bmc.slots) addSlotRoutes(app, `${path}/${slot.model.id}`, { bmc, slot });
}

interface SlotOfBmc {
  readonly bmc: BmcContext;
  readonly slot: MediaSlot;
}

function addSlotRoutes(app: Hono, path: string, { bmc, slot }: SlotOfBmc): void {
  const etag = () => `W/"${slot.version}"`;
  app.get(path, (c) => {
    c.header("ETag", etag());
    c.header("Allow", bmc.personality.insertBy === "patch" ? "GET, HEAD, PATCH" : "GET, HEAD");
    return c.json({ ...renderSlot(path, { bmc, slot }), "@odata.etag": etag() });
  });
  if (bmc.personality.insertBy === "patch") {
    app.patch(path, async (c) => {
      checkMatch(bmc, c.req.header("if-match"), etag());
      const body = await jsonBody(c.req.raw);
      const work =
        body.Image === null
          ? () => emptySlot(slot, bmc)
          : prepareInsert({ bmc, slot }, body, propertyUnknown);
      return carryOut(c, bmc, { name: "Virtual media", work });
    });
    return;
  }
  app.post(`${path}/Actions/${INSERT}`, async (c) => {
    const body = await jsonBody(c.req.raw);
    const unknown = (name: string) => parameterUnknown(INSERT, name);
    const work = prepareInsert({ bmc, slot }, body, unknown);
    return carryOut(c, bmc, { name: "Insert media", work });
  });
  app.post(`${path}/Actions/VirtualMedia.EjectMedia`, async (c) => {
    const body = await optionalJsonBody(c.req.raw);
    if (body === undefined && bmc.personality.ejectNeedsBody) {
      throw new Refusal(415, "Base.1.12.MissingOrMalformedPart", "The request has no JSON body.");
    }
    const unknown = Object.keys(body ?? {})[0];
    if (unknown !== undefined) throw parameterUnknown("VirtualMedia.EjectMedia", unknown);
    return carryOut(c, bmc, { name: "Eject media", work: () => emptySlot(slot, bmc) });
  });
}

function renderSlot(path: string, { bmc, slot }: SlotOfBmc): Record<string, unknown> {
  const inserted = showsInserted(slot, bmc.now());
  const action = (name: string) => ({ target: `${path}/Actions/${name}` });
  const actions = {
    Actions: {
      "#VirtualMedia.InsertMedia": action(INSERT),
      "#VirtualMedia.EjectMedia": action("VirtualMedia.EjectMedia"),
    },
  };
  return {
    "@odata.id": path,
    "@odata.type": "#VirtualMedia.v1_5_0.VirtualMedia",
    Id: slot.model.id,
    Name: "Virtual Removable Media",
    MediaTypes: slot.model.mediaTypes,
    Image: slot.image,
    ImageName: slot.image?.split("/").at(-1) ?? null,
    Inserted: inserted,
    WriteProtected: true,
    ConnectedVia: inserted ? "URI" : "NotConnected",
    ...(bmc.personality.insertBy === "action" && actions),
  };
}

/** Checks what can be checked at once; the result does the rest. @throws {Refusal} 400 */
function prepareInsert(
  { bmc, slot }: SlotOfBmc,
  body: JsonObject,
  unknownName: (name: string) => Refusal,
): () => Promise<void> {
  const { insertRefuses, insertRequires, protocols } = bmc.personality;
  for (const [name, value] of Object.entries(body)) {
    if (!(name in PARAMETERS) || insertRefuses.includes(name)) throw unknownName(name);
    const values = PARAMETERS[name];
    if (values !== undefined && !values.includes(String(value))) {
      throw parameterNotInList(INSERT, name, value);
    }
  }
  const missing = ["Image", ...insertRequires].find((name) => body[name] === undefined);
  if (missing !== undefined) throw parameterMissing(INSERT, missing);
  const url = checkImageUrl(String(body.Image), protocols);
  return async () => fillSlot(slot, await findImage(url, bmc.fetch), bmc);
}

interface Work {
  readonly name: string;
  readonly work: () => Promise<void>;
}

async function carryOut(c: Context, bmc: BmcContext, { name, work }: Work): Promise<Response> {
  if (bmc.personality.mediaTasks) return acceptedTask(bmc.tasks.run(name, work));
  await work();
  return c.body(null, 204);
}
