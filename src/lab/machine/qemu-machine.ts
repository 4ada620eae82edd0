// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Fetch, Log, Sleep } from "../../base/deps.ts";
import { minutes } from "../../base/units.ts";
import { findFirmware, prepareFiles } from "./firmware.ts";
import type { Accelerator, BootChoice, Machine, MachineSpec, Medium } from "./machine.ts";
import { type MediaProxy, startMediaProxy } from "./media-proxy.ts";
import { type QemuSetup, qemuArguments } from "./qemu-arguments.ts";
import { type QemuProcess, startQemu } from "./qemu-process.ts";
import { createQueue } from "./queue.ts";

export interface QemuMachineDeps {
  readonly fetch: Fetch;
  readonly sleep: Sleep;
  readonly log: Log;
  readonly accelerator: Accelerator;
}

/** As long as a server's firmware waits for an operating system that ignores the power button. */
const POWER_BUTTON_TIMEOUT = minutes(2);

/**
 * A machine that is one QEMU process per boot. Its disk and NVRAM stay in the spec's directory.
 * @throws {ProvError} `CONFIG_INVALID` when there is no firmware for it.
 */
export async function createQemuMachine(
  spec: MachineSpec,
  deps: QemuMachineDeps,
): Promise<Machine> {
  const firmware = findFirmware(spec.secureBoot);
  const files = await prepareFiles(spec, firmware);
  return new QemuMachine({ spec, firmware, files, accelerator: deps.accelerator }, deps);
}

class QemuMachine implements Machine {
  readonly drives: number;
  readonly #setup: QemuSetup;
  readonly #deps: QemuMachineDeps;
  readonly #media = new Map<number, MediaProxy>();
  /** One change at a time: a guest's reset must not meet a power-off half way. */
  readonly #queue = createQueue();
  #process: QemuProcess | undefined;

  constructor(setup: QemuSetup, deps: QemuMachineDeps) {
    this.#setup = setup;
    this.#deps = deps;
    this.drives = setup.spec.drives;
  }

  power(): "On" | "Off" {
    return this.#process === undefined ? "Off" : "On";
  }

  powerOn(nextBoot: () => BootChoice): Promise<void> {
    return this.#queue(async () => {
      if (this.#process === undefined) await this.#start(nextBoot);
    });
  }

  forceOff(): Promise<void> {
    return this.#queue(async () => {
      const running = this.#process;
      this.#process = undefined;
      await running?.kill();
    });
  }

  async pressPowerButton(): Promise<void> {
    const running = this.#process;
    if (running === undefined) return;
    await running.pressPowerButton();
    const late = new AbortController();
    void running.ended.then(() => late.abort());
    this.#deps.sleep(POWER_BUTTON_TIMEOUT, late.signal).then(
      () => running.kill(),
      () => undefined,
    );
  }

  insert(drive: number, medium: Medium): Promise<void> {
    return this.#queue(async () => {
      await this.#empty(drive);
      const proxy = startMediaProxy(medium, this.#deps);
      this.#media.set(drive, proxy);
      await this.#process?.insert(drive, proxy.url);
    });
  }

  eject(drive: number): Promise<void> {
    return this.#queue(() => this.#empty(drive));
  }

  async stop(): Promise<void> {
    await this.forceOff();
    for (const drive of [...this.#media.keys()]) await this.eject(drive);
  }

  async #start(nextBoot: () => BootChoice): Promise<void> {
    const boot = nextBoot();
    const running = await startQemu({
      arguments: qemuArguments(this.#setup, boot),
      log: this.#setup.files.log,
    });
    try {
      for (const [drive, proxy] of this.#media) await running.insert(drive, proxy.url);
      await running.run();
    } catch (error) {
      await running.kill();
      throw error;
    }
    this.#process = running;
    void running.ended.then((why) => this.#ended(running, why, nextBoot));
    this.#deps.log.info({ serial: this.#setup.spec.serial, boot }, "virtual machine started");
  }

  /** The machine went off by itself, or reset itself: then it boots again, as it is told to by now. */
  #ended(
    running: QemuProcess,
    why: "guest-reset" | "off",
    nextBoot: () => BootChoice,
  ): Promise<void> {
    return this.#queue(async () => {
      if (this.#process !== running) return;
      if (why === "guest-reset") {
        await this.#start(nextBoot);
      } else {
        this.#process = undefined;
      }
    }).catch((error: unknown) => {
      this.#process = undefined;
      this.#deps.log.error({ err: error, serial: this.#setup.spec.serial }, "cannot reboot");
    });
  }

  async #empty(drive: number): Promise<void> {
    const proxy = this.#media.get(drive);
    if (proxy === undefined) return;
    this.#media.delete(drive);
    // First the proxy: QEMU ejects only after the reads that are under way, and these may hang.
    await proxy.stop();
    await this.#process?.eject(drive);
    this.#deps.log.info(
      { serial: this.#setup.spec.serial, drive, reads: proxy.reads() },
      "medium ejected",
    );
  }
}
