// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A controller with everything around it, in one process and on one fake clock.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Log, LogFields } from "../../src/base/deps.ts";
import { describeError } from "../../src/base/errors.ts";
import { millis, minutes } from "../../src/base/units.ts";
import type { ControllerConfig } from "../../src/controller/config.ts";
import { type Controller, createController } from "../../src/controller/controller.ts";
import type { ControllerDeps } from "../../src/controller/ports.ts";
import { buildIso } from "../../src/media/iso9660.ts";
import { NO_SCRUB } from "../../src/registry/housekeeping/scrub-state.ts";
import { EMPTY_POLICY } from "../../src/registry/policy/policy.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { openStore } from "../../src/store/sqlite/open.ts";
import type { Role, Store, User, UserStore } from "../../src/store/store.ts";
import { FakeClock, settle } from "./fake-clock.ts";
import { FakeServer } from "./fake-server.ts";

export const RECIPE = {
  task_target: "install-linux.target",
  target_disk: "/dev/sda",
  oci_url: "os-images/debian:13",
  partition_layout: [
    { size: "512M", type_guid: "ef00", format: "vfat", label: "ESP" },
    { size: "100%", type_guid: "8300", format: "ext4", label: "root" },
    { size: "16M", type_guid: "8300", format: "vfat", label: "cidata" },
  ],
  user_data: "#cloud-config\nhostname: CANARY-user-data\n",
};

const DIGEST = `sha256:${"ab".repeat(32)}` as const;

/** Has one artifact, `os-images/debian:13`, and half of another, `os-images/debian:half`. */
const REGISTRY: ControllerDeps["registry"] = {
  handle: () => Promise.resolve(new Response(null, { status: 404 })),
  resolve: (repository, reference) =>
    Promise.resolve(
      repository === "os-images/debian" && ["13", "half", DIGEST].includes(reference)
        ? {
            digest: DIGEST,
            mediaType: "application/vnd.oci.image.manifest.v1+json",
            size: 500,
            missing: reference === "half" ? [DIGEST] : [],
          }
        : undefined,
    ),
  policy: () => EMPTY_POLICY,
  verify: () => Promise.resolve({ signedBy: [], rejected: [] }),
  mirrorCounts: () => null,
  sweep: () => Promise.resolve(),
  policyVersion: () => "0",
  setPolicy: () => Promise.resolve({ kind: "set", version: "0" }),
  countRequest: () => 0,
  audit: () => Promise.resolve(),
  auditPage: () => Promise.resolve({ entries: [], cursor: null }),
  repositories: () => Promise.resolve(["os-images/debian"]),
  tags: () => Promise.resolve<Awaited<ReturnType<Registry["tags"]>>>([]),
  housekeeping: {
    collect: ({ dryRun, grace }) => {
      const nothing = { count: 0, bytes: 0 };
      const phases = { tags: nothing, manifests: nothing, blobs: nothing, strays: nothing };
      return Promise.resolve({
        ...{ dryRun, grace, took: millis(0), removed: [] },
        phases: { ...phases, repositories: nothing },
      });
    },
    scrub: {
      start: () => Promise.resolve({ ...NO_SCRUB, isRunning: false }),
      progress: () => Promise.resolve({ ...NO_SCRUB, isRunning: false }),
    },
    usage: () =>
      Promise.resolve({ repositories: [], contents: 0, bytes: 0, uploads: 0, uploadBytes: 0 }),
    openUploads: () => 0,
    settled: () => Promise.resolve(),
  },
  watch: () => undefined,
};

/** Users whose passwords are their names: hashing them would be the slowest part of these tests. */
function plainUsers(): UserStore {
  const users: User[] = [];
  const changed = new Map<string, number>();
  const add = (name: string, role: Role) => users.push({ name, role, createdAt: 0 });
  add("admin", "admin");
  add("operator", "operator");
  add("reader", "reader");
  return {
    count: () => Promise.resolve(users.length),
    add: (name, role) => Promise.resolve(void add(name, role)),
    setPassword(name, _password, now) {
      changed.set(name, now);
      return Promise.resolve(users.some((user) => user.name === name));
    },
    remove(name) {
      const at = users.findIndex((user) => user.name === name);
      if (at >= 0) users.splice(at, 1);
      return Promise.resolve(at >= 0);
    },
    list: () => Promise.resolve([...users]),
    get(name) {
      const user = users.find((each) => each.name === name);
      return Promise.resolve(user && { ...user, changedAt: changed.get(name) ?? 0 });
    },
    verify: (name, password) =>
      Promise.resolve(name === password ? users.find((user) => user.name === name) : undefined),
  };
}

/** The store, with users of its own that cost no hashing. */
export function withPlainUsers(store: Store): Store {
  const { jobs, servers, media, robots } = store;
  return {
    jobs,
    servers,
    media,
    robots,
    users: plainUsers(),
    deriveKey: (purpose) => store.deriveKey(purpose),
    prune: (retention, now) => store.prune(retention, now),
    close: () => store.close(),
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The JSON of the body; undefined when it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read documents of many shapes.
  readonly body: any;
  readonly text: string;
}

export class Site implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly server = new FakeServer("SN1");
  readonly logged: string[] = [];
  readonly store: Store;
  readonly config: ControllerConfig;
  controller: Controller;
  deps: ControllerDeps;
  readonly #directory: string;
  #ids = 0;

  static async open(more: Partial<ControllerConfig> = {}): Promise<Site> {
    const store = await openStore({ path: ":memory:", key: new Uint8Array(32).fill(7) });
    const site = new Site(withPlainUsers(store), more);
    await site.store.servers.put(
      {
        serial: "SN1",
        bmc: {
          url: "https://10.0.0.7",
          username: "root",
          password: "CANARY-bmc",
          tls: { mode: "verify" },
        },
        delivery: null,
        network: null,
      },
      site.clock.now(),
    );
    return site;
  }

  private constructor(store: Store, more: Partial<ControllerConfig>) {
    this.store = store;
    this.#directory = mkdtempSync(join(tmpdir(), "prov-controller-"));
    const maintenanceIso = join(this.#directory, "maintenance.iso");
    const files = [{ name: "task.img", bytes: new Uint8Array(2 ** 20) }];
    writeFileSync(maintenanceIso, buildIso({ volumeId: "PROV_MAINT", files, epoch: 0 }));
    this.config = {
      http: { hostname: "127.0.0.1", port: 0 },
      https: null,
      publicUrls: ["http://10.0.0.1:8080"],
      storageRoot: this.#directory,
      maintenanceIso,
      workerConcurrency: 1,
      leaseTtlMs: minutes(1),
      deadlines: {},
      dev: false,
      mediaSigningSecrets: [],
      anonymousPull: false,
      registryAuth: "basic",
      ...more,
    };
    this.deps = this.#makeDeps();
    this.controller = createController(this.config, this.deps);
  }

  #makeDeps(): ControllerDeps {
    const log: Log = {
      debug: (fields, message) => this.#log("debug", fields, message),
      info: (fields, message) => this.#log("info", fields, message),
      warn: (fields, message) => this.#log("warn", fields, message),
      error: (fields, message) => this.#log("error", fields, message),
    };
    return {
      store: this.store,
      openBmc: (_address, signal) => this.server.bmc(signal),
      registry: REGISTRY,
      log,
      now: this.clock.now,
      sleep: this.clock.sleep,
      newId: () => `${String(++this.#ids).padStart(8, "0")}-0000-4000-8000-000000000000`,
      newSecret: () => `CANARY-secret-${++this.#ids}`,
      build: { version: "0.1.0", commit: "abcdef0", source: null },
    };
  }

  #log(level: string, fields: LogFields, message: string): void {
    const { err, ...rest } = fields;
    const reason = err === undefined ? "" : ` ${describeError(err)}`;
    this.logged.push(`${level} ${message} ${JSON.stringify(rest)}${reason}`);
  }

  /** Another controller process on the same database; `change` stands between it and what it depends on. */
  startAnother(change: (deps: ControllerDeps) => ControllerDeps = (deps) => deps): void {
    this.deps = change(this.#makeDeps());
    this.controller = createController(this.config, this.deps);
  }

  readonly send = (request: Request): Promise<Response> => this.controller.fetch(request);

  /** A request to the API as a user, whose name is their password; null: as nobody. */
  async api(
    method: string,
    path: string,
    options: {
      readonly as?: string | null;
      readonly body?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<Answer> {
    const { as = "operator", body } = options;
    const headers = new Headers(options.headers);
    if (as !== null) headers.set("authorization", `Basic ${btoa(`${as}:${as}`)}`);
    const response = await this.send(
      new Request(`http://127.0.0.1:8080${path}`, {
        method,
        headers,
        ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
      }),
    );
    const text = await response.text();
    let document: unknown;
    try {
      document = JSON.parse(text);
    } catch {
      document = undefined;
    }
    return { status: response.status, headers: response.headers, body: document, text };
  }

  /** Creates a job for `SN1` and gives its secret to the fake agent. */
  async createJob(recipe: unknown = RECIPE): Promise<string> {
    const created = await this.api("POST", "/api/v1/jobs", {
      body: { server_serial: "SN1", recipe },
    });
    if (created.status !== 202) throw new Error(created.text);
    const payload = await this.store.jobs.payload(created.body.job_id);
    this.server.insertTask(created.body.job_id, payload?.token ?? "");
    return created.body.job_id;
  }

  /** Lets time pass, and the server work, until the job is as wanted. */
  async until(
    id: string,
    isReached: (job: { status: string; phase: string | null }) => boolean,
    limitMs = 8 * 3_600_000,
  ): Promise<void> {
    const giveUpAt = this.clock.now() + limitMs;
    for (;;) {
      await settle();
      const job = await this.store.jobs.get(id);
      if (job !== undefined && isReached(job)) return;
      if (this.clock.now() > giveUpAt) throw new Error(`Stuck: ${JSON.stringify(job)}`);
      await this.server.tick(this.send);
      await this.clock.advance(10_000);
    }
  }

  complete(id: string): Promise<void> {
    return this.until(id, ({ status }) => status === "complete");
  }

  /** `+0:10 info partition.service: …`, one line per event, with the time since the first. */
  async story(id: string): Promise<string> {
    const events = await this.store.jobs.events(id, 0, 1000);
    const start = events[0]?.time ?? 0;
    return events
      .map(({ time, level, step, message }) => {
        const s = Math.round((time - start) / 1000);
        const at = `+${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
        return `${at.padEnd(7)} ${level.padEnd(5)} ${step === null ? "" : `[${step}] `}${message}\n`;
      })
      .join("");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.controller.stop();
    rmSync(this.#directory, { recursive: true });
  }
}
