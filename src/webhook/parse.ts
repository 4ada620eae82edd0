// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Finding } from "../base/findings.ts";
import { isObject, type JsonObject } from "../base/json.ts";
import type { ProgressEvent, StatusReport } from "./report.ts";

export type ParsedReport =
  | { readonly report: StatusReport; readonly findings: readonly [] }
  | { readonly report: undefined; readonly findings: readonly Finding[] };

export type ParsedProgress =
  | { readonly events: readonly ProgressEvent[]; readonly findings: readonly [] }
  | { readonly events: undefined; readonly findings: readonly Finding[] };

/** More than an agent collects between two posts. */
export const MAX_PROGRESS_EVENTS = 256;
/** The longest name that a unit may have (systemd.unit(5)). */
const MAX_NAME_CHARS = 255;
/** Longer texts are cut and not refused: a report must not be lost because its error is long. */
const MAX_TEXT_CHARS = 4096;
const MAX_LOG_CHARS = 2048;

/** RFC 3339, 5.6. */
const TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/;
/** The characters of a unit name (systemd.unit(5)). */
const UNIT = /^[A-Za-z0-9:_.\\@-]+$/;
/** A UUID in practice; other agents may use what they like, as long as it can be stored and logged. */
const TOKEN = /^[\x21-\x7e]+$/;

/**
 * Reads a status report. Fields that it does not know are accepted and left out, and null counts as
 * absent. A failure has to name its step, and a success must not.
 */
export function parseStatusReport(document: unknown): ParsedReport {
  if (!isObject(document)) return { report: undefined, findings: [mustBeObject("")] };
  const read = new Reader(document, "");
  const status = read.oneOf("status", ["success", "failed"]);
  const failedStep = read.text("failed_step", UNIT, MAX_NAME_CHARS);
  if (status === "failed" && !read.has("failed_step")) {
    read.find("failed_step", "required", "is required when the status is failed");
  }
  if (status === "success" && read.has("failed_step")) {
    read.find("failed_step", "contradiction", "must be absent when the status is success");
  }
  const rest = {
    error: read.cutText("error", MAX_TEXT_CHARS),
    delivery_id: read.text("delivery_id", TOKEN, MAX_NAME_CHARS),
    job_id: read.text("job_id", TOKEN, MAX_NAME_CHARS),
    task_target: read.text("task_target", UNIT, MAX_NAME_CHARS),
    started_at: read.text("started_at", TIME, MAX_NAME_CHARS),
    finished_at: read.text("finished_at", TIME, MAX_NAME_CHARS),
  };
  if (status === undefined || read.findings.length > 0) {
    return { report: undefined, findings: read.findings };
  }
  return { report: present({ status, failed_step: failedStep, ...rest }), findings: [] };
}

/** Reads the body of a progress post. One bad event refuses them all: the agent is broken. */
export function parseProgress(document: unknown): ParsedProgress {
  const list = isObject(document) ? document.events : undefined;
  if (!Array.isArray(list)) {
    const message = "must be a list of events";
    return { events: undefined, findings: [{ path: "/events", code: "type", message }] };
  }
  if (list.length > MAX_PROGRESS_EVENTS) {
    const message = `must have at most ${MAX_PROGRESS_EVENTS} events, and has ${list.length}`;
    return { events: undefined, findings: [{ path: "/events", code: "maxItems", message }] };
  }
  const events: ProgressEvent[] = [];
  const findings: Finding[] = [];
  for (const [i, item] of list.entries()) {
    const path = `/events/${i}`;
    if (!isObject(item)) {
      findings.push(mustBeObject(path));
      continue;
    }
    const read = new Reader(item, path);
    const event = readEvent(read);
    findings.push(...read.findings);
    if (event !== undefined) events.push(event);
  }
  return findings.length > 0 ? { events: undefined, findings } : { events, findings: [] };
}

const EVENT_TYPES = [
  "checked-in",
  "step-started",
  "step-finished",
  "bytes",
  "log",
  "media-free",
] as const;

/** Undefined exactly when the reader has found something. */
function readEvent(read: Reader): ProgressEvent | undefined {
  const type = read.oneOf("type", EVENT_TYPES);
  switch (type) {
    case undefined:
      return undefined;
    case "media-free":
      return { type };
    case "checked-in": {
      const version = read.required("agent_version", read.text("agent_version", TOKEN, 64));
      return version === undefined ? undefined : { type, agent_version: version };
    }
    default:
      return readStepEvent(read, type);
  }
}

function readStepEvent(
  read: Reader,
  type: Exclude<(typeof EVENT_TYPES)[number], "checked-in" | "media-free">,
): ProgressEvent | undefined {
  const step = read.required("step", read.text("step", UNIT, MAX_NAME_CHARS));
  if (step === undefined) return undefined;
  switch (type) {
    case "step-started":
      return { type, step };
    case "step-finished": {
      const actions = read.required("actions", read.count("actions"));
      return actions === undefined ? undefined : { type, step, actions };
    }
    case "bytes": {
      const done = read.required("done", read.count("done"));
      const total = read.count("total") ?? null;
      return done === undefined ? undefined : { type, step, done, total };
    }
    case "log": {
      const level = read.oneOf("level", ["info", "warn", "error"]);
      const message = read.required("message", read.cutText("message", MAX_LOG_CHARS));
      if (level === undefined || message === undefined) return undefined;
      return { type, step, level, message };
    }
  }
}

/** Reads the fields of one object and collects what is wrong with them. */
class Reader {
  readonly findings: Finding[] = [];
  readonly #object: JsonObject;
  readonly #path: string;

  constructor(object: JsonObject, path: string) {
    this.#object = object;
    this.#path = path;
  }

  has(key: string): boolean {
    return this.#value(key) !== undefined;
  }

  find(key: string, code: string, message: string): void {
    this.findings.push({ path: `${this.#path}/${key}`, code, message });
  }

  oneOf<T extends string>(key: string, choices: readonly T[]): T | undefined {
    const value = this.#value(key);
    const choice = choices.find((c) => c === value);
    if (choice === undefined) {
      const code = value === undefined ? "required" : "enum";
      this.find(key, code, `must be one of ${choices.join(", ")}`);
    }
    return choice;
  }

  text(key: string, pattern: RegExp, maxChars: number): string | undefined {
    const value = this.#value(key);
    if (value === undefined) return undefined;
    if (typeof value === "string" && value.length <= maxChars && pattern.test(value)) return value;
    this.find(key, "format", `must be a string of 1 to ${maxChars} characters like ${pattern}`);
    return undefined;
  }

  cutText(key: string, maxChars: number): string | undefined {
    const value = this.#value(key);
    if (value === undefined) return undefined;
    if (typeof value !== "string") {
      this.find(key, "type", "must be a string");
      return undefined;
    }
    return value.length > maxChars ? `${value.slice(0, maxChars - 1)}…` : value;
  }

  count(key: string): number | undefined {
    const value = this.#value(key);
    if (value === undefined) return undefined;
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    this.find(key, "range", "must be an integer that is not negative");
    return undefined;
  }

  /** Passes a field's value on; one that is absent is a finding. */
  required<T>(key: string, value: T | undefined): T | undefined {
    if (!this.has(key)) this.find(key, "required", "is required");
    return value;
  }

  #value(key: string): unknown {
    const value = Object.hasOwn(this.#object, key) ? this.#object[key] : undefined;
    return value === null ? undefined : value;
  }
}

const mustBeObject = (path: string): Finding => ({
  path,
  code: "type",
  message: "must be an object",
});

type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** The object without the fields that are undefined. */
function present<T extends object>(object: T): Present<T> {
  return Object.fromEntries(
    Object.entries(object).filter(([, v]) => v !== undefined),
  ) as Present<T>;
}
