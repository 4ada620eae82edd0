// SPDX-License-Identifier: AGPL-3.0-or-later
import type { ControllerDeps } from "../../src/controller/ports.ts";
import type { Bmc } from "../../src/redfish/bmc.ts";
import type { JobStore } from "../../src/store/store.ts";
import type { FakeServer } from "./fake-server.ts";

/** Where a controller dies: around a transition of the job, or right after the n-th change to the BMC. */
export type CrashPoint =
  | { readonly moment: "before" | "after"; readonly transition: string }
  | { readonly afterCall: number };

const never = <T>(): Promise<T> => new Promise<T>(() => {});

/** A `kill -9` in one process: from the chosen point on nothing that the controller asks for is answered. */
export class Crash {
  readonly #point: CrashPoint;
  readonly #server: FakeServer;
  happened = false;

  constructor(point: CrashPoint, server: FakeServer) {
    this.#point = point;
    this.#server = server;
  }

  readonly around = (deps: ControllerDeps): ControllerDeps => ({
    ...deps,
    store: {
      ...deps.store,
      jobs: this.#mortal({
        ...methodsOf(deps.store.jobs),
        advance: this.#advance(deps.store.jobs),
      }),
      media: this.#mortal(methodsOf(deps.store.media)),
      servers: this.#mortal(methodsOf(deps.store.servers)),
    },
    sleep: this.#mortal({ sleep: deps.sleep }).sleep,
    openBmc: (address, signal) => this.#bmc(deps.openBmc(address, signal)),
  });

  /** Replaces every method by one that hangs once the crash has happened, even if it had begun before. */
  #mortal<T extends object>(methods: T): T {
    const entries = Object.entries(methods).map(([name, method]) => [
      name,
      async (...args: unknown[]) => {
        if (this.happened) return await never();
        const result: unknown = await method(...args);
        return this.happened ? await never() : result;
      },
    ]);
    return Object.fromEntries(entries);
  }

  #advance(jobs: JobStore): JobStore["advance"] {
    return async (lease, transition, change, now) => {
      const name = transition.kind === "entered" ? transition.phase : transition.kind;
      const dies = (moment: string) =>
        "transition" in this.#point &&
        this.#point.transition === name &&
        this.#point.moment === moment;
      if (dies("before")) {
        this.happened = true;
        return await never();
      }
      const job = await jobs.advance(lease, transition, change, now);
      if (dies("after")) this.happened = true;
      return job;
    };
  }

  #bmc(bmc: Bmc): Bmc {
    const methods = Object.entries(bmc).map(([name, method]) => [
      name,
      async (...args: unknown[]) => {
        const result: unknown = await method(...args);
        if ("afterCall" in this.#point && this.#server.calls.length === this.#point.afterCall) {
          this.happened = true;
        }
        return result;
      },
    ]);
    return this.#mortal(Object.fromEntries(methods));
  }
}

/** The methods of an object, its class's included, as plain functions. */
function methodsOf<T extends object>(object: T): T {
  const names = new Set([
    ...Object.getOwnPropertyNames(object),
    ...Object.getOwnPropertyNames(Object.getPrototypeOf(object)),
  ]);
  const entries = [...names].flatMap((name) => {
    const value: unknown = Reflect.get(object, name);
    return name !== "constructor" && typeof value === "function"
      ? [[name, value.bind(object)]]
      : [];
  });
  return Object.fromEntries(entries);
}
