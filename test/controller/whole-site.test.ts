// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Everything but the machine is real here: listener, store, registry, task ISO, Redfish client, and a BMC that
 * speaks HTTPS with sessions, tasks and ETags.
 */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { realSleep, type Sleep, silentLog } from "../../src/base/deps.ts";
import { stringAt } from "../../src/base/json.ts";
import { millis, minutes } from "../../src/base/units.ts";
import { startController } from "../../src/controller/serve.ts";
import { parseEnvelope } from "../../src/jobs/envelope.ts";
import { startSimulatedServer } from "../../src/lab/lab.ts";
import type { SimulatedAgent } from "../../src/lab/machine/simulated-machine.ts";
import { findExtent } from "../../src/media/iso-reader.ts";
import { buildIso } from "../../src/media/iso9660.ts";
import { openBmc } from "../../src/redfish/bmc.ts";
import { createRegistry } from "../../src/registry/registry.ts";
import { openStore } from "../../src/store/sqlite/open.ts";
import { KEY, temporaryDirectory } from "../store/fresh-store.ts";
import { RECIPE } from "./site.ts";

/** BMCs are asked every two seconds; the simulated one needs no time. */
const hurried: Sleep = (ms, signal) => realSleep(millis(ms / 50), signal);

const digestOf = (text: string) =>
  `sha256:${new Bun.CryptoHasher("sha256").update(text).digest("hex")}`;

function envelopeOf(taskIso: Uint8Array) {
  const extent = findExtent((at, length) => taskIso.subarray(at, at + length), "/task.json");
  const text = taskIso.subarray(extent.offset, extent.offset + extent.size);
  return parseEnvelope(new TextDecoder().decode(text));
}

/** Does what the agent would, over HTTP: check in, look at its artifact, report. */
const agent: SimulatedAgent = async (taskIso) => {
  const { controller_urls: urls, token, job_id: id, artifact, server_serial } = envelopeOf(taskIso);
  const post = async (path: string, body: unknown) => {
    const response = await fetch(`${urls[0]}/api/v1/${path}`, {
      method: "POST",
      headers: { "x-webhook-secret": token },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  };
  await post(`jobs/${id}/progress`, { events: [{ type: "checked-in", agent_version: "0.1.0" }] });
  const pulled = await fetch(
    `${urls[0]}/v2/${artifact?.repository}/manifests/${artifact?.digest}`,
    { headers: { authorization: `Bearer ${token}` } },
  );
  await post(`status-webhook/${server_serial}`, {
    ...(pulled.ok
      ? { status: "success" }
      : { status: "failed", failed_step: "image-linux.service" }),
    delivery_id: crypto.randomUUID(),
    job_id: id,
  });
};

test.each(["two-slot", "one-slot"] as const)(
  "R22 a whole job against a BMC with the personality %s",
  async (personality) => {
    using directory = temporaryDirectory();
    const maintenanceIso = join(directory.path, "maintenance.iso");
    const files = [{ name: "task.img", bytes: new Uint8Array(2 ** 20) }];
    writeFileSync(maintenanceIso, buildIso({ volumeId: "PROV_MAINT", files, epoch: 0 }));
    const world = { fetch, now: Date.now, sleep: hurried, log: silentLog };
    const fromDisk = Promise.withResolvers<void>();
    const server = await startSimulatedServer(
      { serial: "SIM-1", personality, bmcPort: 0, agent, onDiskBoot: () => fromDisk.resolve() },
      world,
    );
    const store = await openStore({ path: join(directory.path, "prov.db"), key: KEY });
    const registry = await createRegistry({ root: join(directory.path, "registry"), ...world });
    const running = await startController(
      {
        http: { hostname: "127.0.0.1", port: 0 },
        https: null,
        publicUrls: [],
        storageRoot: directory.path,
        maintenanceIso,
        workerConcurrency: 2,
        leaseTtlMs: minutes(10),
        deadlines: {},
        dev: false,
        mediaSigningSecrets: [],
        anonymousPull: false,
      },
      {
        ...world,
        store,
        registry,
        openBmc: (address, signal) => openBmc(address, { ...world, signal }),
        newId: () => crypto.randomUUID(),
        newSecret: () => crypto.randomUUID() + crypto.randomUUID(),
        build: { version: "0.1.0", commit: "test", source: null },
      },
    );
    const { name = "", password = "" } = running.initialAdmin ?? {};
    const call = async (method: string, path: string, body?: unknown) => {
      const response = await fetch(`${running.urls[0]}${path}`, {
        method,
        headers: {
          authorization: `Basic ${btoa(`${name}:${password}`)}`,
          "content-type": "application/vnd.oci.image.manifest.v1+json",
        },
        ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      expect([path, response.status < 300 ? "ok" : text]).toEqual([path, "ok"]);
      return text;
    };

    await call("POST", `/v2/os-images/debian/blobs/uploads/?digest=${digestOf("{}")}`, "{}");
    const empty = {
      mediaType: "application/vnd.oci.empty.v1+json",
      digest: digestOf("{}"),
      size: 2,
    };
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    const manifest = { schemaVersion: 2, mediaType, config: empty, layers: [empty] };
    await call("PUT", "/v2/os-images/debian/manifests/13", manifest);
    await call("PUT", "/api/v1/servers/SIM-1", {
      bmc: {
        url: server.bmcUrl,
        username: server.username,
        password: server.password,
        tls: { mode: "pinned", fingerprint: server.fingerprint },
      },
    });
    const created: unknown = JSON.parse(
      await call("POST", "/api/v1/jobs", { server_serial: "SIM-1", recipe: RECIPE }),
    );
    const id = stringAt(created, "job_id") ?? "";
    const events = await call("GET", `/api/v1/jobs/${id}/events`);
    await fromDisk.promise;
    expect(events).toContain("event: end");
    expect(await store.jobs.get(id)).toMatchObject({ status: "complete", outcome: "succeeded" });
    expect(server.machine.power()).toBe("On");

    await running.stop();
    await registry.close();
    await store.close();
    await server.stop();
  },
);
