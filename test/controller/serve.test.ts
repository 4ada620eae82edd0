// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { connect } from "node:net";
import { ProvError } from "../../src/base/errors.ts";
import { stringAt } from "../../src/base/json.ts";
import { minutes } from "../../src/base/units.ts";
import { checkConfig } from "../../src/controller/config.ts";
import { startController } from "../../src/controller/serve.ts";
import { rawRequest } from "../media/raw-http.ts";
import { virtualCds } from "./fake-server.ts";
import { RECIPE, Site } from "./site.ts";

const http = { hostname: "127.0.0.1", port: 0 };
const https = { hostname: "0.0.0.0", port: 0, certificate: "", key: "", ca: null };
const everywhere = { hostname: "0.0.0.0", port: 8080 };

function central(registry: string, authorization: string | null = "Basic c2VjcmV0") {
  const rest = { prefix: "", ca: null, ttl: minutes(5), repositories: ["**"] };
  return { registryUpstream: { registry, authorization, ...rest } };
}

test.each([
  ["plain HTTP on this machine", { http, https: null }, true],
  ["plain HTTP for everybody", { http: everywhere, https: null }, false],
  ["plain HTTP for everybody, with dev", { http: everywhere, https: null, dev: true }, true],
  ["HTTPS", { http: null, https }, true],
  ["HTTPS, and HTTP for media", { http: everywhere, https }, true],
  ["nothing", { http: null, https: null }, false],
  ["a password for an upstream in the clear", { http, https: null, ...central("http://c") }, false],
  ["the same with dev", { http, https: null, dev: true, ...central("http://c") }, true],
  ["the same on this machine", { http, https: null, ...central("http://127.0.0.1:5000") }, true],
  ["the same by TLS", { http, https: null, ...central("https://c") }, true],
  ["an upstream in the clear for all", { http, https: null, ...central("http://c", null) }, true],
  ["a short signing secret", { http, https: null, mediaSigningSecrets: ["short"] }, false],
])("R52 whether a configuration is accepted: %s", async (_what, more, accepted) => {
  await using site = await Site.open();
  const check = () => checkConfig({ ...site.config, ...more });
  if (accepted) expect(check).not.toThrow();
  else expect(check).toThrow(ProvError);
});

test("plain HTTP beside HTTPS serves media and health only", async () => {
  await using site = await Site.open({ http: everywhere, https });
  const get = (url: string) => site.send(new Request(url));
  expect((await get("http://10.0.0.1/api/v1/jobs")).status).toBe(403);
  expect((await get("http://10.0.0.1/v2/")).status).toBe(403);
  expect((await get("http://10.0.0.1/healthz")).status).toBe(200);
  expect((await get("http://10.0.0.1/m/x/boot.iso")).status).toBe(404);
  const secure = await get("https://10.0.0.1/api/v1/jobs");
  expect(secure.status).toBe(401);
  expect(secure.headers.get("strict-transport-security")).toBe("max-age=31536000");
});

/** Sends text and reads until the other side closes. */
async function talk(port: number, text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(text);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}

test("it is ready at once and answers HTTP/1.0 without a Host", async () => {
  await using site = await Site.open();
  const started = performance.now();
  const running = await startController(site.config, site.deps);
  expect(performance.now() - started).toBeLessThan(500);
  const port = Number(new URL(running.urls[0] ?? "").port);
  expect(await talk(port, "GET /healthz?x=1 HTTP/1.0\r\n\r\n")).toContain(" 200 OK");
  expect(await talk(port, "GET /api/v1/jobs?x=1 HTTP/1.0\r\n\r\n")).toContain(" 401 ");
  await running.stop();
});

test("R18 the media listener sends a whole combined ISO under its length", async () => {
  await using site = await Site.open();
  site.server.slots = virtualCds(1);
  const running = await startController({ ...site.config, media: http }, site.deps);
  const id = await createJobOver(running.urls[0] ?? "", site);
  await site.until(id, ({ phase }) => phase === "waiting");
  const url = new URL([...site.server.media.values()][0] ?? "");
  expect(url.hostname).toBe("10.0.0.1");
  expect(url.port).not.toBe("8080");
  const whole = await rawRequest({ port: Number(url.port), path: url.pathname });
  const { size } = Bun.file(site.config.maintenanceIso ?? "");
  expect(whole.headers.get("content-length")).toBe(String(size));
  expect(whole.headers.get("transfer-encoding")).toBeNull();
  expect(whole.body.byteLength).toBe(size);
  for (const port of [Number(url.port), Number(new URL(running.urls[0] ?? "").port)]) {
    const path = url.pathname;
    const head = await rawRequest({ port, method: "HEAD", path });
    expect([head.status, head.headers.get("content-length")]).toEqual([200, String(size)]);
    const part = await rawRequest({ port, path, headers: { range: "bytes=32768-34815" } });
    expect([part.status, part.headers.get("content-length")]).toEqual([206, "2048"]);
    expect(part.headers.get("transfer-encoding")).toBeNull();
  }
  const api = await rawRequest({ port: Number(url.port), path: "/api/v1/jobs" });
  expect(api.status).toBe(404);
  await running.stop();
});

async function createJobOver(url: string, site: Site): Promise<string> {
  const response = await fetch(`${url}/api/v1/jobs`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa("operator:operator")}` },
    body: JSON.stringify({ server_serial: site.server.serial, recipe: RECIPE }),
  });
  expect(response.status).toBe(202);
  const document: unknown = await response.json();
  return stringAt(document, "job_id") ?? "";
}

test("R52 the very first start makes an admin with a password of its own", async () => {
  await using site = await Site.open();
  for (const { name } of [...(await site.store.users.list())]) await site.store.users.remove(name);
  const admin = await site.controller.start();
  expect(admin?.name).toBe("admin");
  expect(admin?.password.length).toBeGreaterThanOrEqual(12);
  expect((await site.store.users.list()).map(({ role }) => role)).toEqual(["admin"]);
  site.startAnother();
  expect(await site.controller.start()).toBeNull();
});
