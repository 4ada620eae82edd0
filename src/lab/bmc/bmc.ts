// SPDX-License-Identifier: AGPL-3.0-or-later
import { type Context, Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Clock, Fetch, Log } from "../../base/deps.ts";
import { describeError } from "../../base/errors.ts";
import { minutes } from "../../base/units.ts";
import type { Machine } from "../machine/machine.ts";
import { noOverride } from "./boot-override.ts";
import type { BmcContext } from "./context.ts";
import { type Faults, noFaults, setFaults } from "./faults.ts";
import { addManagerRoutes } from "./manager-routes.ts";
import { addMediaRoutes } from "./media-routes.ts";
import { createSlots } from "./media-slot.ts";
import { PERSONALITIES, type PersonalityName } from "./personality.ts";
import { notFound, Refusal, renderRefusal } from "./refusal.ts";
import { addServiceRoutes, unauthorized } from "./service-routes.ts";
import { createSessions } from "./sessions.ts";
import { addSystemRoutes } from "./system-routes.ts";
import { createTasks } from "./tasks.ts";

export interface BmcOptions {
  readonly serial: string;
  readonly personality: PersonalityName;
  readonly username: string;
  readonly password: string;
  /** Kept by reference: a change takes effect at once. */
  readonly faults?: Faults;
  /** Sessions end after this long without use, ms; 30 minutes if it is not given. */
  readonly sessionIdleMs?: number;
}

export interface BmcDeps {
  /** Reads media. */
  readonly fetch: Fetch;
  readonly now: Clock;
  readonly log: Log;
}

/** Readable without credentials (DSP0266 §13.2.3). */
const PUBLIC = /^(GET \/redfish(\/v1)?\/?|POST \/redfish\/v1\/SessionService\/Sessions\/?)$/;

/** Tests and people look at and set the faults here; not a part of Redfish, and not protected. */
const FAULTS_PATH = "/lab/faults";

/**
 * A BMC as a web application: Redfish (DSP0266, DSP2046) in front of a machine, as strict and as
 * odd as its personality. It has one drive of the machine per slot.
 */
export function createBmc(machine: Machine, options: BmcOptions, deps: BmcDeps): Hono {
  const personality = PERSONALITIES[options.personality];
  const bmc: BmcContext = {
    ...deps,
    ...options,
    machine,
    personality,
    faults: options.faults ?? noFaults(),
    slots: createSlots(personality),
    sessions: createSessions(deps.now, options.sessionIdleMs ?? minutes(30)),
    tasks: createTasks(),
    boot: noOverride(),
    state: { systemVersion: 1, startedAt: 0 },
  };
  const app = new Hono({ strict: false });
  app.onError((error, c) => refuse(error, c, bmc));
  app.notFound((c) => refuse(notFound(c.req.path), c, bmc));
  addFaultRoutes(app, bmc.faults);
  app.use("/redfish/*", async (c, next) => {
    c.header("OData-Version", "4.0");
    failOnPurpose(bmc.faults);
    if (!PUBLIC.test(`${c.req.method} ${c.req.path}`) && !isAuthorized(c, bmc))
      throw unauthorized();
    await next();
    const fields = { serial: bmc.serial, method: c.req.method, path: c.req.path };
    bmc.log.debug({ ...fields, status: c.res.status }, "bmc answered");
  });
  addServiceRoutes(app, bmc);
  addSystemRoutes(app, bmc);
  addManagerRoutes(app, bmc);
  addMediaRoutes(app, bmc);
  return app;
}

function isAuthorized(c: Context, bmc: BmcContext): boolean {
  if (bmc.faults.wrongPassword) return false;
  const token = c.req.header("x-auth-token");
  if (token !== undefined) return bmc.sessions.use(token);
  const basic = /^Basic (.+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
  return basic === Buffer.from(`${bmc.username}:${bmc.password}`).toString("base64");
}

function failOnPurpose(faults: Faults): void {
  if (faults.httpErrors.count <= 0) return;
  faults.httpErrors = { ...faults.httpErrors, count: faults.httpErrors.count - 1 };
  const status = faults.httpErrors.status as ContentfulStatusCode;
  throw new Refusal(status, "Base.1.12.ServiceTemporarilyUnavailable", "Try again later.");
}

function refuse(error: Error, c: Context, bmc: BmcContext): Response {
  const refusal =
    error instanceof Refusal
      ? error
      : new Refusal(500, "Base.1.12.InternalError", describeError(error));
  const fields = { serial: bmc.serial, method: c.req.method, path: c.req.path };
  bmc.log.debug({ ...fields, status: refusal.status, err: error }, "bmc refused");
  if (refusal.status === 401) c.header("WWW-Authenticate", 'Basic realm="bmc"');
  return c.json(renderRefusal(refusal) as object, refusal.status);
}

function addFaultRoutes(app: Hono, faults: Faults): void {
  app.get(FAULTS_PATH, (c) => c.json(faults));
  app.patch(FAULTS_PATH, async (c) => {
    try {
      setFaults(faults, await c.req.json());
    } catch (error) {
      return c.json({ error: "faults", message: describeError(error) }, 400);
    }
    return c.json(faults);
  });
}
