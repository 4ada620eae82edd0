// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Hono } from "hono";
import { stringAt } from "../../base/json.ts";
import { type BmcContext, collection } from "./context.ts";
import { jsonBody } from "./json-body.ts";
import { notFound, Refusal } from "./refusal.ts";
import { renderTask, type Task } from "./tasks.ts";

const SESSIONS = "/redfish/v1/SessionService/Sessions";
const TASKS = "/redfish/v1/TaskService/Tasks";

/** Service root, sessions and tasks. */
export function addServiceRoutes(app: Hono, bmc: BmcContext): void {
  app.get("/redfish", (c) => c.json({ v1: "/redfish/v1/" }));
  app.get("/redfish/v1", (c) => c.json(serviceRoot(bmc)));
  if (bmc.personality.sessions) addSessionRoutes(app, bmc);
  addTaskRoutes(app, bmc);
}

function serviceRoot(bmc: BmcContext): unknown {
  const sessions = {
    SessionService: { "@odata.id": "/redfish/v1/SessionService" },
    Links: { Sessions: { "@odata.id": SESSIONS } },
  };
  return {
    "@odata.id": "/redfish/v1/",
    "@odata.type": "#ServiceRoot.v1_11_0.ServiceRoot",
    Id: "RootService",
    Name: "Root Service",
    RedfishVersion: "1.13.0",
    Vendor: bmc.personality.manufacturer,
    Product: bmc.personality.model,
    Systems: { "@odata.id": "/redfish/v1/Systems" },
    Managers: { "@odata.id": "/redfish/v1/Managers" },
    Tasks: { "@odata.id": "/redfish/v1/TaskService" },
    ...(bmc.personality.sessions && sessions),
  };
}

function addSessionRoutes(app: Hono, bmc: BmcContext): void {
  app.get("/redfish/v1/SessionService", (c) =>
    c.json({
      "@odata.id": "/redfish/v1/SessionService",
      "@odata.type": "#SessionService.v1_1_8.SessionService",
      Id: "SessionService",
      Name: "Session Service",
      ServiceEnabled: true,
      Sessions: { "@odata.id": SESSIONS },
    }),
  );
  app.get(SESSIONS, (c) => {
    const paths = bmc.sessions.list().map((s) => `${SESSIONS}/${s.id}`);
    return c.json(collection(SESSIONS, "Session", paths));
  });
  app.post(SESSIONS, async (c) => {
    const body = await jsonBody(c.req.raw);
    const username = stringAt(body, "UserName");
    const isRight = username === bmc.username && stringAt(body, "Password") === bmc.password;
    if (!isRight || bmc.faults.wrongPassword) throw unauthorized();
    const session = bmc.sessions.open(username);
    c.header("X-Auth-Token", session.token);
    c.header("Location", `${SESSIONS}/${session.id}`);
    return c.json(renderSession(session), 201);
  });
  app.get(`${SESSIONS}/:id`, (c) => {
    const session = bmc.sessions.list().find((s) => s.id === c.req.param("id"));
    if (session === undefined) throw notFound(c.req.path);
    return c.json(renderSession(session));
  });
  app.delete(`${SESSIONS}/:id`, (c) => {
    if (!bmc.sessions.close(c.req.param("id"))) throw notFound(c.req.path);
    return c.body(null, 204);
  });
}

function renderSession(session: { readonly id: string; readonly username: string }): unknown {
  return {
    "@odata.id": `${SESSIONS}/${session.id}`,
    "@odata.type": "#Session.v1_3_0.Session",
    Id: session.id,
    Name: "User Session",
    UserName: session.username,
  };
}

function addTaskRoutes(app: Hono, bmc: BmcContext): void {
  app.get("/redfish/v1/TaskService", (c) =>
    c.json({
      "@odata.id": "/redfish/v1/TaskService",
      "@odata.type": "#TaskService.v1_2_0.TaskService",
      Id: "TaskService",
      Name: "Task Service",
      Tasks: { "@odata.id": TASKS },
    }),
  );
  app.get(TASKS, (c) => {
    const paths = bmc.tasks.list().map((t) => `${TASKS}/${t.id}`);
    return c.json(collection(TASKS, "Task", paths));
  });
  app.get(`${TASKS}/:id`, (c) => {
    const task = bmc.tasks.find(c.req.param("id"));
    if (task === undefined) throw notFound(c.req.path);
    return c.json(renderTask(task));
  });
}

/** 202 with the Task and where to ask for it (DSP0266 §12.2). */
export function acceptedTask(task: Task): Response {
  const document = renderTask(task);
  return Response.json(document, {
    status: 202,
    headers: { Location: String(document["@odata.id"]), "Retry-After": "1" },
  });
}

export function unauthorized(): Refusal {
  const message = "The user name or password is incorrect, or the session has ended.";
  return new Refusal(401, "Base.1.12.ResourceAtUriUnauthorized", message);
}
