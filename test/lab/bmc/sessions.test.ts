// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { testBmc } from "./fake-machine.ts";

const SESSIONS = "/redfish/v1/SessionService/Sessions";
const RIGHT = { UserName: "lab", Password: "secret" };

test("the service root is public, all else asks for credentials", async () => {
  const bmc = testBmc("two-slot");
  const statuses = [];
  for (const path of ["/redfish", "/redfish/v1", "/redfish/v1/", "/redfish/v1/Systems"]) {
    statuses.push((await bmc.sendBare("GET", path)).status);
  }
  expect(statuses).toEqual([200, 200, 200, 401]);
  const answer = await bmc.sendBare("GET", "/redfish/v1/Systems");
  expect(answer.headers.get("www-authenticate")).toStartWith("Basic");
});

test("a session's token opens resources until it is deleted", async () => {
  const bmc = testBmc("two-slot");
  const opened = await bmc.sendBare("POST", SESSIONS, RIGHT);
  expect(opened.status).toBe(201);
  const token = { "X-Auth-Token": opened.headers.get("x-auth-token") ?? "" };
  const location = opened.headers.get("location") ?? "";
  expect((await bmc.sendBare("GET", "/redfish/v1/Systems/", undefined, token)).status).toBe(200);
  expect((await bmc.sendBare("DELETE", location, undefined, token)).status).toBe(204);
  expect((await bmc.sendBare("GET", "/redfish/v1/Systems", undefined, token)).status).toBe(401);
});

test("a session ends after 30 minutes without use", async () => {
  const bmc = testBmc("two-slot");
  const opened = await bmc.sendBare("POST", SESSIONS, RIGHT);
  const token = { "X-Auth-Token": opened.headers.get("x-auth-token") ?? "" };
  const statuses = [];
  for (const wait of [29, 29, 31]) {
    bmc.time.now += wait * 60_000;
    statuses.push((await bmc.sendBare("GET", SESSIONS, undefined, token)).status);
  }
  expect(statuses).toEqual([200, 200, 401]);
});

test("the ninth session is refused", async () => {
  const bmc = testBmc("two-slot");
  const statuses = [];
  for (let i = 0; i < 9; i++) statuses.push((await bmc.sendBare("POST", SESSIONS, RIGHT)).status);
  expect(statuses).toEqual([...Array(8).fill(201), 503]);
});

test("wrong credentials, and right ones on a BMC with the fault", async () => {
  const bmc = testBmc("two-slot");
  const wrong = { UserName: "lab", Password: "guess" };
  expect((await bmc.sendBare("POST", SESSIONS, wrong)).status).toBe(401);
  bmc.faults.wrongPassword = true;
  expect((await bmc.sendBare("POST", SESSIONS, RIGHT)).status).toBe(401);
  expect((await bmc.send("GET", "/redfish/v1/Systems")).status).toBe(401);
});

test("a BMC without sessions takes basic authentication", async () => {
  const bmc = testBmc("sushy-like");
  expect((await bmc.sendBare("GET", "/redfish/v1")).body.SessionService).toBeUndefined();
  expect((await bmc.send("POST", SESSIONS, RIGHT)).status).toBe(404);
  expect((await bmc.send("GET", "/redfish/v1/Systems")).status).toBe(200);
});
