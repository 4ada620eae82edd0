// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, expect, test } from "bun:test";
import { realSleep, silentLog } from "../../src/base/deps.ts";
import { type BmcServer, startSimulatedServer } from "../../src/lab/lab.ts";
import {
  createSimulatedMachine,
  type SimulatedAgent,
} from "../../src/lab/machine/simulated-machine.ts";
import { buildIso } from "../../src/media/iso9660.ts";

const BOOT = new Uint8Array(200_000).fill(1);
const TASK = new Uint8Array(5000).fill(2);

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function serveMedia() {
  const gets: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      const name = new URL(request.url).pathname.split("/").at(-1) ?? "";
      const bytes = name === "boot.iso" ? BOOT : TASK;
      if (request.method === "HEAD") {
        return new Response(null, { headers: { "Content-Length": String(bytes.length) } });
      }
      const range = request.headers.get("range") ?? "";
      gets.push(`${name} ${range}`);
      const [start, end] = range.replace("bytes=", "").split("-").map(Number);
      return new Response(bytes.slice(start, Number(end) + 1), { status: 206 });
    },
  });
  stops.push(() => server.stop(true));
  return { gets, url: `http://127.0.0.1:${server.port}/m/tok` };
}

async function start(agent: SimulatedAgent, tls = true) {
  const disk = Promise.withResolvers<void>();
  const server = await startSimulatedServer(
    {
      serial: "SIM-1",
      personality: "two-slot",
      bmcPort: 0,
      agent,
      onDiskBoot: () => disk.resolve(),
      tls,
    },
    { fetch, now: Date.now, sleep: realSleep, log: silentLog },
  );
  stops.push(server.stop);
  return { server, diskBooted: disk.promise };
}

async function send(server: BmcServer, method: string, path: string, body: unknown) {
  const response = await fetch(`${server.bmcUrl}/redfish/v1/Systems/1${path}`, {
    method,
    body: JSON.stringify(body),
    headers: { authorization: `Basic ${btoa(`${server.username}:${server.password}`)}` },
    tls: { rejectUnauthorized: false },
  });
  expect(response.status).toBe(204);
}

test("a simulated server reads its media, hands the task to the agent, and then boots its disk", async () => {
  const media = serveMedia();
  const tasks: Uint8Array[] = [];
  const { server, diskBooted } = await start((task, host) => {
    tasks.push(task);
    host.reset();
    return Promise.resolve();
  });
  const slot = (id: number) => `/VirtualMedia/${id}/Actions/VirtualMedia.InsertMedia`;
  await send(server, "POST", slot(1), { Image: `${media.url}/boot.iso` });
  await send(server, "POST", slot(2), { Image: `${media.url}/task.iso` });
  const once = { BootSourceOverrideEnabled: "Once", BootSourceOverrideTarget: "Cd" };
  await send(server, "PATCH", "", { Boot: once });
  await send(server, "POST", "/Actions/ComputerSystem.Reset", { ResetType: "On" });
  await diskBooted;
  expect(tasks).toEqual([TASK]);
  expect(media.gets).toEqual(["boot.iso bytes=0-65535", "task.iso bytes=0-4999"]);
  expect(server.fingerprint).toMatch(/^[0-9a-f]{64}$/);
});

test("with one drive the task is a file inside the boot medium", async () => {
  const iso = buildIso({
    volumeId: "PROV_MAINT",
    files: [{ name: "task.img", bytes: TASK }],
    epoch: 0,
  });
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  const machine = createSimulatedMachine(1, {
    fetch: (_url, init) => {
      const range = new Headers(init?.headers).get("range") ?? "";
      const [start, end] = range.replace("bytes=", "").split("-").map(Number);
      return Promise.resolve(new Response(iso.slice(start, Number(end) + 1), { status: 206 }));
    },
    log: silentLog,
    agent: (task) => Promise.resolve(resolve(task)),
  });
  await machine.insert(0, { url: "http://192.0.2.1/m/tok/combined.iso", size: iso.length });
  await machine.powerOn(() => ({ drive: 0 }));
  expect(await promise).toEqual(TASK);
});

test("pulling the plug aborts the agent", async () => {
  const media = serveMedia();
  const { promise, resolve } = Promise.withResolvers<AbortSignal>();
  const { server } = await start((_task, host) => {
    resolve(host.signal);
    return Promise.resolve();
  }, false);
  for (const [drive, name] of ["boot", "task"].entries()) {
    const size = name === "boot" ? BOOT.length : TASK.length;
    await server.machine.insert(drive, { url: `${media.url}/${name}.iso`, size });
  }
  await server.machine.powerOn(() => ({ drive: 0 }));
  const signal = await promise;
  expect(signal.aborted).toBeFalse();
  await server.machine.forceOff();
  expect([signal.aborted, server.machine.power()]).toEqual([true, "Off"]);
});
