// SPDX-License-Identifier: AGPL-3.0-or-later
import { type Context, Hono } from "hono";
import type { Fetch } from "../../src/base/deps.ts";
import type { JsonObject } from "../../src/base/json.ts";
import { isObject, stringAt } from "../../src/base/json.ts";
import type { FakeSlot, Personality } from "./personalities.ts";

export const USER = "root";
export const PASSWORD = "calvin+canary";
export const SERIAL = "ABC1234";

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly body: JsonObject | undefined;
  readonly headers: Headers;
}

/** What to do to a request instead of, or before, answering it; `lost`: done, and the answer never comes. */
export type Fault = (seen: Seen) => Response | "lost" | "hang" | "refused" | undefined;

interface SlotState {
  image: string;
  inserted: boolean;
  /** Not before this virtual time does the slot show a change. */
  pending: { at: number; image: string; inserted: boolean } | undefined;
}

const ROOT = "/redfish/v1";
const RESET = `${ROOT}/Systems/s1/Actions/ComputerSystem.Reset`;

/** A BMC in memory. Its clock is the test's, so nothing in it takes real time. */
export class FakeBmc {
  readonly seen: Seen[] = [];
  readonly sessions = new Map<string, string>();
  readonly slots = new Map<string, SlotState>();
  readonly inserted: JsonObject[] = [];
  fault: Fault = () => undefined;
  power: "On" | "Off" = "On";
  powerAt = 0;
  boot: Record<string, unknown>;
  version = 1;
  /** How many changes were ever under way at the same time. */
  mostAtOnce = 0;
  readonly fetch: Fetch;
  readonly #p: Personality;
  readonly #now: () => number;
  readonly #tasks = new Map<string, number>();
  #count = 0;
  #underWay = 0;

  constructor(p: Personality, now: () => number) {
    this.#p = p;
    this.#now = now;
    for (const { id } of p.slots) {
      this.slots.set(id, { image: "", inserted: false, pending: undefined });
    }
    this.boot = {
      BootSourceOverrideEnabled: "Disabled",
      BootSourceOverrideTarget: "None",
      BootSourceOverrideMode: p.bootMode ?? "UEFI",
    };
    const app = this.#app();
    this.fetch = (url, init) => this.#receive(app, url, init ?? {});
  }

  async #receive(app: Hono, url: string, init: BunFetchRequestInit): Promise<Response> {
    init.signal?.throwIfAborted();
    const text = typeof init.body === "string" ? init.body : undefined;
    const seen: Seen = {
      method: init.method ?? "GET",
      path: new URL(url).pathname,
      body: text === undefined ? undefined : JSON.parse(text),
      headers: new Headers(init.headers),
    };
    this.seen.push(seen);
    const fault = this.fault(seen);
    if (fault instanceof Response) return fault;
    if (fault === "refused") throw new TypeError("Unable to connect");
    if (fault === "hang") return await hang(init.signal);
    const changes = seen.method !== "GET";
    if (changes) this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#underWay);
    const { method, headers } = seen;
    const answer = await app.request(url, { method, headers, ...(text && { body: text }) });
    if (changes) this.#underWay--;
    if (fault === "lost") throw new TypeError("The socket connection was closed unexpectedly");
    return answer;
  }

  /** Puts an image into a slot behind the client's back. */
  put(id: string, image: string): void {
    Object.assign(this.#state(id), { image, inserted: true, pending: undefined });
  }

  /** The images that are in now. */
  media(): string[] {
    const states = this.#p.slots.map(({ id }) => this.#state(id));
    return states.filter((s) => s.inserted).map((s) => s.image);
  }

  /** Requests that change something besides sessions, as `METHOD path`. */
  changes(): string[] {
    return this.seen
      .filter((s) => s.method !== "GET" && !s.path.includes("/Sessions"))
      .map((s) => `${s.method} ${s.path}`);
  }

  #app(): Hono {
    const app = new Hono();
    app.use(`${ROOT}/*`, async (c, next) => {
      const open = c.req.path === `${ROOT}/` || c.req.path.endsWith("/Sessions");
      if (!open && !this.#isKnown(c)) return problem(401, "NoValidSession", "Log in first.");
      await next();
      return;
    });
    app.get(`${ROOT}/`, (c) => c.json(this.#root()));
    app.post(`${ROOT}/SessionService/Sessions`, async (c) => this.#login(await c.req.json()));
    app.delete(`${ROOT}/SessionService/Sessions/:id`, (c) => {
      this.sessions.delete(c.req.param("id"));
      return c.body(null, 204);
    });
    const members = (...ids: string[]) => ({ Members: ids.map((id) => ({ "@odata.id": id })) });
    app.get(`${ROOT}/Systems`, (c) => c.json(members(`${ROOT}/Systems/s0`, `${ROOT}/Systems/s1`)));
    app.get(`${ROOT}/Systems/s0`, (c) => c.json({ Id: "s0", SerialNumber: "OTHER", SKU: "OTHER" }));
    app.get(`${ROOT}/Systems/s1`, (c) => this.#resource(c, this.#system()));
    app.get(`${ROOT}/Systems/s1/Settings`, (c) =>
      this.#resource(c, { Boot: this.#bootDocument() }),
    );
    app.patch(`${ROOT}/Systems/s1`, (c) => this.#patchBoot(c, this.#p.settings !== true));
    app.patch(`${ROOT}/Systems/s1/Settings`, (c) => this.#patchBoot(c, this.#p.settings === true));
    app.post(RESET, async (c) => this.#reset((await c.req.json()).ResetType));
    app.get(`${ROOT}/Managers/m1`, (c) =>
      c.json({
        Model: this.#p.managerModel ?? "BMC",
        FirmwareVersion: "6.10.30.00",
        ...(this.#p.tree !== "Systems" && link("VirtualMedia", `${ROOT}/Managers/m1/VirtualMedia`)),
      }),
    );
    app.get(`${ROOT}/TaskService/TaskMonitors/:id`, (c) => this.#task(c));
    for (const owner of ["Systems/s1", "Managers/m1"]) {
      const base = `${ROOT}/${owner}/VirtualMedia`;
      app.get(base, (c) => c.json(members(...this.#p.slots.map(({ id }) => `${base}/${id}`))));
      app.use(`${base}/:id/*`, (c, next) => this.#slotOr404(c.req.param("id"), next));
      app.get(`${base}/:id`, (c) => this.#resource(c, this.#slot(base, c.req.param("id"))));
      app.patch(`${base}/:id`, (c) => this.#patchSlot(c, c.req.param("id")));
      app.post(`${base}/:id/Insert`, async (c) =>
        this.#insert(c.req.param("id"), await c.req.json()),
      );
      app.post(`${base}/:id/Eject`, async (c) => this.#ejectAction(c, await c.req.text()));
    }
    return app;
  }

  #root(): object {
    const offered = this.#p.sessions !== "absent";
    return {
      Vendor: this.#p.vendor,
      ...link("Systems", `${ROOT}/Systems`),
      ...link("Managers", `${ROOT}/Managers`),
      ...(offered && { Links: link("Sessions", `${ROOT}/SessionService/Sessions`) }),
    };
  }

  #login(body: JsonObject): Response {
    if (this.#p.sessions === "refused") return problem(503, "RAC0218", "Too many sessions.");
    if (body.UserName !== USER || body.Password !== PASSWORD) {
      return problem(401, "Unauthorized", `The password ${body.Password} is wrong.`);
    }
    const id = `${++this.#count}`;
    this.sessions.set(id, `token-${id}`);
    // Some BMCs name a host of their own that nobody else can reach.
    const location = `https://bmc.internal${ROOT}/SessionService/Sessions/${id}`;
    return Response.json({}, { status: 201, headers: { "x-auth-token": `token-${id}`, location } });
  }

  #isKnown(c: Context): boolean {
    const token = c.req.header("x-auth-token");
    if (token !== undefined) return [...this.sessions.values()].includes(token);
    return c.req.header("authorization") === `Basic ${btoa(`${USER}:${PASSWORD}`)}`;
  }

  #resource(c: Context, body: object): Response {
    const { etags } = this.#p;
    const quoted = `"${this.version}"`;
    if (etags === "required") c.header("etag", quoted);
    if (etags === "weak") c.header("etag", `W/${quoted}`);
    const slot = this.#p.slots.find(({ id }) => c.req.path.endsWith(`/${id}`));
    c.header("allow", slot?.by === "patch" ? "GET, PATCH" : "GET");
    return c.json(body);
  }

  #preconditionFails(c: Context): boolean {
    const given = c.req.header("if-match");
    const { etags } = this.#p;
    if (etags === "required") return given !== `"${this.version}"`;
    return etags === "weak" && given !== undefined && given !== `"${this.version}"`;
  }

  #system(): object {
    return {
      Id: "s1",
      Manufacturer: this.#p.vendor,
      Model: "R2",
      SerialNumber: this.#p.serialField === "SKU" ? "CNBOARD" : SERIAL,
      ...(this.#p.serialField === "SKU" && { SKU: SERIAL }),
      PowerState: this.#powerState(),
      Boot: this.#p.settings === true ? { ...this.boot } : this.#bootDocument(),
      Links: { ManagedBy: [{ "@odata.id": `${ROOT}/Managers/m1` }] },
      Actions: { "#ComputerSystem.Reset": { target: RESET } },
      ...(this.#p.tree !== "Managers" && link("VirtualMedia", `${ROOT}/Systems/s1/VirtualMedia`)),
      ...(this.#p.settings === true && {
        "@Redfish.Settings": link("SettingsObject", `${ROOT}/Systems/s1/Settings`),
      }),
    };
  }

  #bootDocument(): object {
    return {
      ...this.boot,
      "BootSourceOverrideTarget@Redfish.AllowableValues": this.#p.bootTargets ?? [
        "None",
        "Pxe",
        "Cd",
        "Hdd",
      ],
    };
  }

  async #patchBoot(c: Context, takes: boolean): Promise<Response> {
    if (!takes) return problem(400, "Base.1.8.PropertyNotWritable", "Use the settings resource.");
    if (this.#preconditionFails(c)) return problem(412, "PreconditionFailed", "ETag differs.");
    const change = await c.req.json();
    if (isObject(change.Boot)) Object.assign(this.boot, change.Boot);
    this.version++;
    return c.body(null, 204);
  }

  #powerState(): string {
    if (this.#now() >= this.powerAt) return this.power;
    return this.power === "On" ? "PoweringOn" : "PoweringOff";
  }

  #reset(type: string): Response {
    if (type === "On" && this.power === "Off") {
      if (this.#now() < this.powerAt + (this.#p.onRefusedFor ?? 0)) {
        return problem(409, "ResourceInUse", "The server is not ready.");
      }
      this.power = "On";
      this.powerAt = this.#now() + 4000;
    } else if (type === "ForceOff" && this.power === "On") {
      this.power = "Off";
      this.powerAt = this.#now() + 6000;
    } else {
      return problem(409, "NoOperation", "The server is in that state already.");
    }
    return new Response(null, { status: 204 });
  }

  #slotOr404(id: string, next: () => Promise<void>): Promise<Response | undefined> {
    if (!this.slots.has(id)) {
      return Promise.resolve(problem(404, "ResourceMissing", `There is no slot ${id}.`));
    }
    return next().then(() => undefined);
  }

  #state(id: string): SlotState {
    const state = this.slots.get(id);
    if (state === undefined) throw new RangeError(`No slot ${id}`);
    if (state.pending !== undefined && this.#now() >= state.pending.at) {
      Object.assign(state, state.pending, { pending: undefined });
    }
    return state;
  }

  #slot(base: string, id: string): object {
    const slot = this.#p.slots.find((s) => s.id === id) as FakeSlot;
    const { image, inserted } = this.#state(id);
    const staleNow = this.#p.stale === true && !inserted && image !== "";
    return {
      Id: id,
      MediaTypes: slot.kinds,
      Image: image === "" ? null : image,
      Inserted: inserted || staleNow,
      ConnectedVia: inserted ? "URI" : "NotConnected",
      ...((slot.by ?? "action") === "action" && {
        Actions: {
          "#VirtualMedia.InsertMedia": { target: `${base}/${id}/Insert` },
          "#VirtualMedia.EjectMedia": { target: `${base}/${id}/Eject` },
        },
      }),
    };
  }

  #insert(id: string, body: JsonObject): Response {
    const missing = (this.#p.requires ?? []).find((field) => !(field in body));
    if (missing !== undefined) {
      const text = `The action requires the parameter ${missing}.`;
      return problem(400, "Base.1.8.ActionParameterMissing", text, [missing]);
    }
    const refused = (this.#p.refuses ?? []).find((field) => field in body);
    if (refused !== undefined) {
      return problem(400, "Base.1.8.PropertyUnknown", `Property ${refused} is unknown.`, [refused]);
    }
    if (body.TransferProtocolType === "URI") return problem(400, "BadValue", "No such protocol.");
    const state = this.#state(id);
    if (state.inserted) return problem(500, "VRM0012", "Media is attached already.");
    this.inserted.push(body);
    const image = stringAt(body, "Image") ?? "";
    if ((this.#p.silentlyRequires ?? []).every((field) => field in body)) {
      const at = this.#now() + (this.#p.insertTakes ?? 0);
      state.pending = { at, image, inserted: true };
    }
    return this.#done();
  }

  #ejectAction(c: Context, text: string): Response {
    if (this.#p.ejectNeedsObject === true && text !== "{}") {
      return problem(415, "UnsupportedMediaType", "Send an object.");
    }
    return this.#eject(c.req.param("id") ?? "");
  }

  #eject(id: string): Response {
    const state = this.#state(id);
    if (!state.inserted) return problem(500, "VRM0009", "No media is attached.");
    const image = this.#p.stale === true ? state.image : "";
    const at = this.#now() + (this.#p.ejectTakes ?? 0);
    state.pending = { at, image, inserted: false };
    return this.#done();
  }

  async #patchSlot(c: Context, id: string): Promise<Response> {
    if (this.#preconditionFails(c)) return problem(412, "PreconditionFailed", "ETag differs.");
    const body = await c.req.json();
    this.version++;
    return body.Image === null ? this.#eject(id) : this.#insert(id, body);
  }

  #done(): Response {
    if (this.#p.tasks !== true) return new Response(null, { status: 204 });
    const id = `${++this.#count}`;
    this.#tasks.set(id, this.#now() + 5000);
    const location = `${ROOT}/TaskService/TaskMonitors/${id}`;
    return new Response(null, { status: 202, headers: { location, "retry-after": "1" } });
  }

  #task(c: Context): Response {
    const end = this.#tasks.get(c.req.param("id") ?? "");
    if (end === undefined) return problem(404, "ResourceMissing", "No such task.");
    const done = this.#now() >= end;
    return c.json({ TaskState: done ? "Completed" : "Running" }, done ? 200 : 202);
  }
}

const link = (name: string, path: string) => ({ [name]: { "@odata.id": path } });

/** A Redfish error answer (DSP0266, "Error responses"). */
export function problem(
  status: number,
  id: string,
  text: string,
  args: readonly string[] = [],
  headers: Record<string, string> = {},
): Response {
  const info = [{ MessageId: id, Message: text, MessageArgs: args }];
  const error = { code: "Base.1.8.GeneralError", message: text, "@Message.ExtendedInfo": info };
  return Response.json({ error }, { status, headers });
}

function hang(signal: AbortSignal | null | undefined): Promise<Response> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
