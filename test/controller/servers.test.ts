// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { unreachable } from "./fake-server.ts";
import { Site } from "./site.ts";

const bmc = { url: "https://10.0.0.8", username: "root", password: "CANARY-new" };

test("R10 servers are created, updated, listed and deleted; passwords never come back", async () => {
  await using site = await Site.open();
  const path = "/api/v1/servers/SN2";
  const network = {
    interfaces: [
      { type: "ethernet", name: "eth0", mac: "aa:bb:cc:dd:ee:ff", addresses: ["192.0.2.10/24"] },
    ],
  };
  const created = await site.api("PUT", path, { body: { bmc, network } });
  expect(created.status).toBe(201);
  expect(created.body).toMatchObject({
    serial: "SN2",
    bmc: { url: "https://10.0.0.8", username: "root", tls: { mode: "verify" } },
    delivery: null,
    network,
  });
  const fingerprint = `${"AB:".repeat(31)}AB`;
  const updated = await site.api("PUT", path, {
    body: {
      bmc: { url: bmc.url, username: "admin", tls: { mode: "pinned", fingerprint } },
      delivery: "combined",
    },
  });
  expect([updated.status, updated.body.delivery]).toEqual([200, "combined"]);
  expect((await site.store.servers.get("SN2"))?.bmc).toMatchObject({
    username: "admin",
    password: bmc.password,
    tls: { mode: "pinned", fingerprint: "ab".repeat(32) },
  });
  const list = await site.api("GET", "/api/v1/servers");
  expect(list.body.servers).toHaveLength(2);
  expect(`${created.text}${updated.text}${list.text}${site.logged.join()}`).not.toContain("CANARY");
  expect((await site.api("DELETE", path)).status).toBe(204);
  expect((await site.api("GET", path)).status).toBe(404);
});

test("R53 a stored BMC password is not told to another address", async () => {
  await using site = await Site.open();
  const put = (url: string) =>
    site.api("PUT", "/api/v1/servers/SN1", { body: { bmc: { url, username: "root" } } });
  const moved = await put("https://192.0.2.66");
  expect([moved.status, moved.body.details?.[0]?.path]).toEqual([400, "/bmc/password"]);
  expect((await put("https://10.0.0.7")).status).toBe(200);
});

test("a server keeps its BMC while a job works on it, and may get another password", async () => {
  await using site = await Site.open();
  await site.createJob();
  const put = (url: string) =>
    site.api("PUT", "/api/v1/servers/SN1", { body: { bmc: { ...bmc, url } } });
  const moved = await put("https://10.0.0.8");
  expect([moved.status, moved.body.error]).toEqual([409, "conflict"]);
  expect((await put("https://10.0.0.7")).status).toBe(200);
  expect((await site.store.servers.get("SN1"))?.bmc).toMatchObject({
    url: "https://10.0.0.7",
    password: bmc.password,
  });
});

test.each([
  ["/bmc/url", { bmc: { ...bmc, url: "10.0.0.8" } }],
  ["/bmc/url", { bmc: { ...bmc, url: "https://user@10.0.0.8" } }],
  ["/bmc/username", { bmc: { url: bmc.url, password: "x" } }],
  ["/bmc/password", { bmc: { url: bmc.url, username: "root" } }],
  ["/bmc/tls/mode", { bmc: { ...bmc, tls: { mode: "maybe" } } }],
  ["/bmc/tls/fingerprint", { bmc: { ...bmc, tls: { mode: "pinned" } } }],
  ["/delivery", { bmc, delivery: "pigeon" }],
  ["/network", { bmc, network: {} }],
])("R10 a server is refused for its %s", async (path, body) => {
  await using site = await Site.open();
  const answer = await site.api("PUT", "/api/v1/servers/SN2", { body });
  expect(answer.status).toBe(400);
  expect(answer.body.details.map((d: { path: string }) => d.path)).toContain(path);
});

test("R10 probe and power go to the BMC, and a job has its server for itself", async () => {
  await using site = await Site.open();
  const probed = await site.api("POST", "/api/v1/servers/SN1/probe");
  expect(probed.body.capabilities.model).toBe("PowerEdge R650");
  expect(site.server.calls).toEqual([]);
  for (const action of ["on", "reset", "off"]) {
    const { status } = await site.api("POST", "/api/v1/servers/SN1/power", { body: { action } });
    expect(status).toBe(200);
  }
  expect(site.server.calls).toEqual(["on", "off", "on", "off"]);
  expect(
    (await site.api("POST", "/api/v1/servers/SN1/power", { body: { action: "explode" } })).status,
  ).toBe(400);

  await site.createJob();
  const body = { action: "on" };
  const refused = await site.api("POST", "/api/v1/servers/SN1/power", { body });
  expect([refused.status, refused.body.error]).toEqual([409, "conflict.active_job"]);
  expect((await site.api("DELETE", "/api/v1/servers/SN1")).status).toBe(409);
  expect(site.server.calls).toHaveLength(4);
});

test("a BMC that does not answer is a 502 that says what to do", async () => {
  await using site = await Site.open();
  site.server.faults.set("probe", unreachable("reach the BMC at https://10.0.0.7"));
  const { status, body } = await site.api("POST", "/api/v1/servers/SN1/probe");
  expect([status, body.error]).toEqual([502, "bmc_error"]);
  expect(body.message).toBe("Cannot reach the BMC at https://10.0.0.7. Check the BMC's address.");
});

test("users are for administrators, and the last one stays", async () => {
  await using site = await Site.open();
  const users = "/api/v1/users";
  expect((await site.api("GET", users)).status).toBe(403);
  const body = { name: "ann", role: "operator", password: "ann's password" };
  expect((await site.api("POST", users, { as: "admin", body })).status).toBe(201);
  const short = { ...body, password: "short" };
  expect((await site.api("POST", users, { as: "admin", body: short })).status).toBe(400);
  expect((await site.api("DELETE", `${users}/ann`, { as: "admin" })).status).toBe(204);
  expect((await site.api("DELETE", `${users}/ann`, { as: "admin" })).status).toBe(404);
  expect((await site.api("DELETE", `${users}/admin`, { as: "admin" })).status).toBe(409);
  expect((await site.api("DELETE", `${users}/reader`, { as: "admin" })).status).toBe(204);
  // Its login was remembered until now.
  expect((await site.api("GET", "/api/v1/jobs", { as: "reader" })).status).toBe(401);
});
