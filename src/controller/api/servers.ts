// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import type { KeyedLock } from "../../base/keyed-lock.ts";
import { type Millis, minutes } from "../../base/units.ts";
import type { Server } from "../../jobs/job.ts";
import type { Bmc } from "../../redfish/bmc.ts";
import type { ControllerDeps } from "../ports.ts";
import { DOCUMENT_LIMIT, readObject } from "./body.ts";
import type { Api, ApiContext } from "./context.ts";
import { Refusal } from "./errors.ts";
import { parsePowerAction, parseServer, toServerDocument } from "./server-document.ts";

/** Longer than a BMC takes to go off and on again. */
const BMC_DEADLINE: Millis = minutes(10);

/** `/api/v1/servers` */
export function serverRoutes(lock: KeyedLock, deps: ControllerDeps): Hono<Api> {
  const { servers } = deps.store;
  return new Hono<Api>()
    .get("/", async (c) => c.json({ servers: (await servers.list()).map(toServerDocument) }))
    .get("/:serial", async (c) => c.json(toServerDocument(await existing(c, deps))))
    .put("/:serial", async (c) => {
      const serial = c.req.param("serial");
      const { document } = await readObject(c.req.raw, DOCUMENT_LIMIT);
      const server = parseServer(serial, document, await servers.get(serial));
      const done = await servers.put(server, deps.now());
      return c.json(toServerDocument(await existing(c, deps)), done === "created" ? 201 : 200);
    })
    .delete("/:serial", async (c) => {
      const server = await existing(c, deps);
      await servers.remove(server.serial);
      return c.body(null, 204);
    })
    .post("/:serial/probe", async (c) => {
      const server = await existing(c, deps);
      await withBmc(server, lock, deps, (bmc) => learn(bmc, server, deps));
      return c.json(toServerDocument(await existing(c, deps)));
    })
    .post("/:serial/power", async (c) => {
      const server = await existing(c, deps);
      const action = parsePowerAction((await readObject(c.req.raw, DOCUMENT_LIMIT)).document);
      await requireIdle(server, deps);
      await withBmc(server, lock, deps, async (bmc) => {
        await learn(bmc, server, deps);
        await requireIdle(server, deps);
        if (action !== "on") await bmc.powerOff();
        if (action !== "off") await bmc.powerOn();
      });
      deps.log.info({ server_serial: server.serial, action }, "power changed by a user");
      return c.json({ server_serial: server.serial, action });
    });
}

async function learn(bmc: Bmc, server: Server, deps: ControllerDeps): Promise<void> {
  const capabilities = await bmc.probe(server.serial);
  await deps.store.servers.setCapabilities(server.serial, capabilities, deps.now());
}

/** A job has its server for itself. */
async function requireIdle(server: Server, deps: ControllerDeps): Promise<void> {
  const job = await deps.store.jobs.activeFor(server.serial);
  if (job === undefined) return;
  throw new Refusal(
    "conflict.active_job",
    `Server ${server.serial} has an active job, which decides about its power: ${job.id}`,
  );
}

async function withBmc(
  server: Server,
  lock: KeyedLock,
  deps: ControllerDeps,
  work: (bmc: Bmc) => Promise<void>,
): Promise<void> {
  await lock.run(server.bmc.url, async () => {
    const bmc = deps.openBmc(server.bmc, AbortSignal.timeout(BMC_DEADLINE));
    try {
      await work(bmc);
    } finally {
      await bmc.close();
    }
  });
}

async function existing(c: ApiContext, deps: ControllerDeps): Promise<Server> {
  const serial = c.req.param("serial") ?? "";
  const server = await deps.store.servers.get(serial);
  if (server === undefined) throw new Refusal("not_found", `There is no server "${serial}"`);
  return server;
}
