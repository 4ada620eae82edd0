// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../src/base/errors.ts";
import type { Bmc } from "../../src/redfish/bmc.ts";
import type { Capabilities, MediaSlot } from "../../src/redfish/capabilities.ts";
import type { ProgressEvent } from "../../src/webhook/report.ts";

type Operation = Exclude<keyof Bmc, "close">;
type Send = (request: Request) => Promise<Response>;

const slot = (id: string): MediaSlot => ({
  path: `/redfish/v1/Managers/1/VirtualMedia/${id}`,
  id,
  kinds: ["CD", "DVD"],
  insert: "action",
  protocols: ["HTTP", "HTTPS"],
});

export const virtualCds = (count: number): readonly MediaSlot[] =>
  Array.from({ length: count }, (_, i) => slot(`CD${i + 1}`));

/** What the agent does once it runs, one request after the other. */
export type AgentStep =
  | { readonly progress: readonly ProgressEvent[] }
  | { readonly report: Readonly<Record<string, unknown>> };

const SUCCESS: readonly AgentStep[] = [
  { progress: [{ type: "checked-in", agent_version: "0.1.0" }] },
  { progress: [{ type: "step-started", step: "partition.service" }] },
  { progress: [{ type: "step-finished", step: "partition.service", actions: 9 }] },
  { progress: [{ type: "step-started", step: "image-linux.service" }] },
  { progress: [{ type: "bytes", step: "image-linux.service", done: 5, total: 10 }] },
  { progress: [{ type: "step-finished", step: "image-linux.service", actions: 4 }] },
  { report: { status: "success", delivery_id: "d-1" } },
];

/**
 * A server and its BMC: boots what is inserted when a one-time override is set, then plays an agent that
 * speaks to whatever controller answers, and else boots its disk.
 */
export class FakeServer {
  readonly serial: string;
  power: "On" | "Off" = "Off";
  override = false;
  readonly media = new Map<string, string>();
  /** Every change that the BMC was asked for, in order. */
  readonly calls: string[] = [];
  /** Starts from the task's media and from the disk. */
  readonly boots = { task: 0, disk: 0 };
  /** Thrown by an operation as long as it is here. */
  readonly faults = new Map<Operation, Error>();
  /** Operations that never answer. */
  readonly hangs = new Set<Operation>();
  slots = virtualCds(2);
  script: readonly AgentStep[] = SUCCESS;
  /** False: the firmware ignores the virtual CD. */
  readsMedia = true;
  /** True: a start that was asked for shows only while the media are ejected. */
  startsLate = false;
  /** Operations under way at the same time, at most. */
  busiest = 0;
  #busy = 0;
  #step: number | null = null;
  #task: { jobId: string; token: string } | null = null;

  constructor(serial: string) {
    this.serial = serial;
  }

  /** The agent's secret comes with the task medium, which this fake does not unpack. */
  insertTask(jobId: string, token: string): void {
    this.#task = { jobId, token };
  }

  get capabilities(): Capabilities {
    return {
      vendor: "Dell Inc.",
      model: "PowerEdge R650",
      bmcFirmware: "7.10.30.00",
      systemPath: "/redfish/v1/Systems/1",
      systemSerial: this.serial,
      slots: this.slots,
      bootTargets: ["None", "Cd", "Hdd"],
      bootModes: ["UEFI"],
      tlsFingerprint: null,
      delivery: this.slots.length > 1 ? "dual" : "combined",
    };
  }

  bmc(signal: AbortSignal): Bmc {
    const run = async <T>(operation: Operation, label: string, work: () => T): Promise<T> => {
      signal.throwIfAborted();
      this.#busy++;
      this.busiest = Math.max(this.busiest, this.#busy);
      await Promise.resolve();
      this.#busy--;
      if (this.hangs.has(operation)) await aborted(signal);
      const fault = this.faults.get(operation);
      if (fault !== undefined) throw fault;
      if (label !== "") this.calls.push(label);
      return work();
    };
    return {
      probe: () => run("probe", "", () => this.capabilities),
      powerState: () => run("powerState", "", () => this.power),
      powerOff: () => run("powerOff", "off", () => this.#switchOff()),
      powerOn: () => run("powerOn", "on", () => this.#switchOn()),
      ejectAll: () =>
        run("ejectAll", "eject", () => {
          const { size } = this.media;
          this.media.clear();
          if (this.startsLate) this.#switchOn();
          this.startsLate = false;
          return size;
        }),
      insert: ({ id }, url) =>
        run("insert", `insert ${id}`, () => {
          this.media.set(id, url);
        }),
      bootOnceFromCd: () =>
        run("bootOnceFromCd", "boot once", () => {
          this.override = true;
        }),
      clearBootOverride: () =>
        run("clearBootOverride", "clear override", () => {
          this.override = false;
        }),
      close: () => Promise.resolve(),
    };
  }

  #switchOff(): void {
    this.power = "Off";
    this.#step = null;
  }

  #switchOn(): void {
    if (this.power === "On") return;
    this.power = "On";
    if (this.override && this.media.size > 0 && this.readsMedia) {
      this.boots.task++;
      this.#step = -1;
    } else this.boots.disk++;
    this.override = false;
  }

  /** Does the next thing of a running task; what the controller does not take is tried again next time. */
  async tick(send: Send): Promise<void> {
    if (this.#step === null) return;
    if (this.#step === -1) {
      const answers = await Promise.all([...this.media.values()].map((url) => send(read(url))));
      if (answers.every((answer) => answer.status === 206)) this.#step = 0;
      return;
    }
    const step = this.script[this.#step];
    if (step === undefined || this.#task === null) return;
    const response = await send(this.#request(step, this.#task));
    if (response.ok) this.#step++;
  }

  #request(step: AgentStep, task: { jobId: string; token: string }): Request {
    const [path, body] =
      "progress" in step
        ? [`jobs/${task.jobId}/progress`, { events: step.progress }]
        : [`status-webhook/${this.serial}`, step.report];
    return new Request(`http://10.0.0.1:8080/api/v1/${path}`, {
      method: "POST",
      headers: { "x-webhook-secret": task.token },
      body: JSON.stringify(body),
    });
  }
}

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });

const read = (url: string): Request =>
  new Request(url, { headers: { range: "bytes=32768-34815" } });

export const unreachable = (what: string): ProvError =>
  new ProvError(`Cannot ${what}`, {
    code: "BMC_UNREACHABLE",
    cause: "HTTP 503",
    hint: "Check the BMC's address.",
  });
