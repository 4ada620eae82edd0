// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Everything but the machine and the users is real here: listener, store, registry, task ISO, Redfish client, and a BMC that
 * speaks HTTPS with sessions, tasks and ETags.
 */
import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { realSleep, type Sleep, silentLog } from "../../src/base/deps.ts";
import { stringAt } from "../../src/base/json.ts";
import { millis, minutes } from "../../src/base/units.ts";
import type { DeadlineOverrides } from "../../src/controller/config.ts";
import { type RunningController, startController } from "../../src/controller/serve.ts";
import { type BmcServer, startSimulatedServer } from "../../src/lab/lab.ts";
import type { SimulatedAgent } from "../../src/lab/machine/simulated-machine.ts";
import { buildIso } from "../../src/media/iso9660.ts";
import { openBmc } from "../../src/redfish/bmc.ts";
import { createRegistry, type Registry } from "../../src/registry/registry.ts";
import { openStore } from "../../src/store/sqlite/open.ts";
import type { Store } from "../../src/store/store.ts";
import { KEY, temporaryDirectory } from "../store/fresh-store.ts";
import { RECIPE, withPlainUsers } from "./site.ts";

/** BMCs are asked every two seconds; the simulated one needs no time. */
const hurried: Sleep = (ms, signal) => realSleep(millis(ms / 50), signal);
/** The same haste for what is waited for by the clock. */
const hurriedNow = (): number => Date.now() * 50;
const WORLD = { fetch, now: Date.now, sleep: hurried, log: silentLog };

export const LAYER = "a root file system";
const SERIAL = "SIM-1";
const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";

const digestOf = (text: string) =>
  `sha256:${new Bun.CryptoHasher("sha256").update(text).digest("hex")}`;

export interface WholeSiteOptions {
  readonly personality: "two-slot" | "one-slot";
  readonly agent: SimulatedAgent;
  readonly deadlines?: DeadlineOverrides;
}

export class WholeSite implements AsyncDisposable {
  readonly server: BmcServer;
  readonly store: Store;
  /** Resolves when the installed system would start. */
  readonly diskBoot: Promise<void>;
  readonly #directory: ReturnType<typeof temporaryDirectory>;
  readonly #registry: Registry;
  readonly #deadlines: DeadlineOverrides;
  #controller: RunningController | undefined;
  #port = 0;

  /** Has the server `SIM-1` and the artifact of {@link RECIPE}. */
  static async open(options: WholeSiteOptions): Promise<WholeSite> {
    const directory = temporaryDirectory();
    const fromDisk = Promise.withResolvers<void>();
    const onDiskBoot = () => fromDisk.resolve();
    const { agent, personality, deadlines = {} } = options;
    const spec = { serial: SERIAL, personality, bmcPort: 0, agent, onDiskBoot };
    const server = await startSimulatedServer(spec, WORLD);
    const database = await openStore({ path: join(directory.path, "prov.db"), key: KEY });
    const store = withPlainUsers(database);
    const registry = await createRegistry({ root: join(directory.path, "registry"), ...WORLD });
    const parts = { server, store, registry, directory, diskBoot: fromDisk.promise, deadlines };
    const site = new WholeSite(parts);
    await site.start();
    await site.#fill();
    return site;
  }

  private constructor(parts: {
    readonly server: BmcServer;
    readonly store: Store;
    readonly registry: Registry;
    readonly directory: ReturnType<typeof temporaryDirectory>;
    readonly diskBoot: Promise<void>;
    readonly deadlines: DeadlineOverrides;
  }) {
    this.server = parts.server;
    this.store = parts.store;
    this.diskBoot = parts.diskBoot;
    this.#registry = parts.registry;
    this.#directory = parts.directory;
    this.#deadlines = parts.deadlines;
    const files = [{ name: "task.img", bytes: new Uint8Array(2 ** 20) }];
    const iso = buildIso({ volumeId: "PROV_MAINT", files, epoch: 0 });
    writeFileSync(this.#maintenanceIso, iso);
  }

  get #maintenanceIso(): string {
    return join(this.#directory.path, "maintenance.iso");
  }

  /** Starts the controller; again at the same address. */
  async start(): Promise<void> {
    const controller = await startController(
      {
        http: { hostname: "127.0.0.1", port: this.#port },
        https: null,
        publicUrls: [],
        storageRoot: this.#directory.path,
        maintenanceIso: this.#maintenanceIso,
        workerConcurrency: 2,
        leaseTtlMs: minutes(10),
        deadlines: this.#deadlines,
        dev: false,
        mediaSigningSecrets: [],
        anonymousPull: false,
        registryAuth: "basic",
      },
      {
        ...WORLD,
        store: this.store,
        registry: this.#registry,
        openBmc: (address, signal) => openBmc(address, { ...WORLD, now: hurriedNow, signal }),
        newId: () => crypto.randomUUID(),
        newSecret: () => crypto.randomUUID() + crypto.randomUUID(),
        build: { version: "0.1.0", commit: "test", source: null },
      },
    );
    this.#controller = controller;
    this.#port = Number(new URL(controller.urls[0] ?? "").port);
  }

  async stopController(): Promise<void> {
    await this.#controller?.stop();
    this.#controller = undefined;
  }

  /** A request that has to succeed. */
  async call(method: string, path: string, body?: unknown): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, {
      method,
      headers: { authorization: `Basic ${btoa("admin:admin")}`, "content-type": MANIFEST_TYPE },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    expect([path, response.status < 300 ? "ok" : text]).toEqual([path, "ok"]);
    return text;
  }

  async #fill(): Promise<void> {
    for (const blob of ["{}", LAYER]) {
      const path = `/v2/os-images/debian/blobs/uploads/?digest=${digestOf(blob)}`;
      await this.call("POST", path, blob);
    }
    const config = {
      mediaType: "application/vnd.oci.empty.v1+json",
      digest: digestOf("{}"),
      size: 2,
    };
    const layer = { mediaType: "application/tar", digest: digestOf(LAYER), size: LAYER.length };
    const manifest = { schemaVersion: 2, mediaType: MANIFEST_TYPE, config, layers: [layer] };
    await this.call("PUT", "/v2/os-images/debian/manifests/13", manifest);
    const { bmcUrl: url, username, password, fingerprint } = this.server;
    const bmc = { url, username, password, tls: { mode: "pinned", fingerprint } };
    await this.call("PUT", `/api/v1/servers/${SERIAL}`, { bmc });
  }

  /** @returns the job's id. */
  async createJob(): Promise<string> {
    const body = { server_serial: SERIAL, recipe: RECIPE };
    return stringAt(JSON.parse(await this.call("POST", "/api/v1/jobs", body)), "job_id") ?? "";
  }

  /** Waits for the job's end. @returns its events as the API streams them. */
  async complete(id: string): Promise<string> {
    const events = await this.call("GET", `/api/v1/jobs/${id}/events`);
    expect(events).toContain("event: end");
    return events;
  }

  /** Media that are still in the server's drives; takes them out. */
  async mediaLeft(): Promise<number> {
    const { bmcUrl: url, username, password } = this.server;
    const address = { url, username, password, tls: { mode: "insecure" } } as const;
    const bmc = openBmc(address, { ...WORLD, signal: AbortSignal.timeout(5000) });
    try {
      return await bmc.ejectAll();
    } finally {
      await bmc.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopController();
    await this.#registry.close();
    await this.store.close();
    await this.server.stop();
    this.#directory[Symbol.dispose]();
  }
}
