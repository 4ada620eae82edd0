// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Hono } from "hono";
import { silentLog } from "../../../src/base/deps.ts";
import { createBmc } from "../../../src/lab/bmc/bmc.ts";
import { type Faults, noFaults } from "../../../src/lab/bmc/faults.ts";
import { PERSONALITIES, type PersonalityName } from "../../../src/lab/bmc/personality.ts";
import type { BootChoice, Machine } from "../../../src/lab/machine/machine.ts";

interface FakeMachine extends Machine {
  /** What was booted, and which media came and went, in order. */
  readonly history: string[];
  /** What a guest does by itself. */
  reboot(): void;
}

function fakeMachine(drives: number): FakeMachine {
  const history: string[] = [];
  let next: (() => BootChoice) | undefined;
  const start = () => {
    const choice = next?.() ?? "disk";
    history.push(choice === "disk" ? "boot disk" : `boot drive ${choice.drive}`);
  };
  const off = () => {
    if (next !== undefined) history.push("off");
    next = undefined;
    return Promise.resolve();
  };
  return {
    drives,
    history,
    reboot: start,
    power: () => (next === undefined ? "Off" : "On"),
    powerOn: (nextBoot) => {
      if (next === undefined) {
        next = nextBoot;
        start();
      }
      return Promise.resolve();
    },
    forceOff: off,
    pressPowerButton: off,
    stop: off,
    insert: (drive, medium) => {
      history.push(`insert ${drive} ${medium.size}`);
      return Promise.resolve();
    },
    eject: (drive) => {
      history.push(`eject ${drive}`);
      return Promise.resolve();
    },
  };
}

/** Media whose name says what is wrong with them. */
function fakeMedia(url: string, init?: RequestInit): Promise<Response> {
  const name = new URL(url).pathname.split("/").at(-1) ?? "";
  if (init?.method !== "HEAD") return Promise.reject(new Error("a BMC asks by HEAD first"));
  if (name === "missing.iso") return Promise.resolve(new Response(null, { status: 404 }));
  if (name === "moved.iso") return Promise.resolve(new Response(null, { status: 302 }));
  if (name === "unsized.iso") return Promise.resolve(new Response(null));
  if (name === "dead.iso") return Promise.reject(new Error("Connection refused"));
  return Promise.resolve(new Response(null, { headers: { "Content-Length": "4096" } }));
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a JSON document that the tests look into
  readonly body: any;
}

export interface TestBmc {
  readonly app: Hono;
  readonly machine: FakeMachine;
  readonly faults: Faults;
  readonly time: { now: number };
  send(
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer>;
  /** Without credentials. */
  sendBare(
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer>;
}

export function testBmc(personality: PersonalityName, set: Partial<Faults> = {}): TestBmc {
  const machine = fakeMachine(PERSONALITIES[personality].slots.length);
  const faults = { ...noFaults(), ...set };
  const time = { now: 1_000_000 };
  const options = { serial: "S1", personality, username: "lab", password: "secret", faults };
  const deps = { fetch: fakeMedia, now: () => time.now, log: silentLog };
  const app = createBmc(machine, options, deps);
  const sendBare: TestBmc["sendBare"] = async (method, path, body, headers) => {
    const response = await app.request(path, {
      method,
      headers: { ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === "" ? null : JSON.parse(text),
    };
  };
  const authorization = `Basic ${btoa("lab:secret")}`;
  return {
    app,
    machine,
    faults,
    time,
    sendBare,
    send: (method, path, body, headers) =>
      sendBare(method, path, body, { authorization, ...headers }),
  };
}

/** The key of the error's message, without the registry's version: `PropertyUnknown`. */
export function messageKey(answer: Answer): string | undefined {
  const message = answer.body?.error?.["@Message.ExtendedInfo"]?.[0];
  return message?.MessageId.split(".").at(-1);
}
