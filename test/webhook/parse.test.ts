// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MAX_PROGRESS_EVENTS, parseProgress, parseStatusReport } from "../../src/webhook/parse.ts";
import type { ProgressEvent, StatusReport } from "../../src/webhook/report.ts";

const FAILED: StatusReport = {
  status: "failed",
  failed_step: "bootloader-linux.service",
  error: "grub-install ended with 1",
  delivery_id: "5b6ab1d2-5e43-4c5f-9b26-d0c1e6c0c8a1",
  job_id: "j1",
  task_target: "install-linux.target",
  started_at: "2026-01-02T03:04:05Z",
  finished_at: "2026-01-02T03:04:05.123+01:00",
};

describe("parseStatusReport()", () => {
  test.each<[string, unknown, StatusReport]>([
    ["the least", { status: "success" }, { status: "success" }],
    ["everything", FAILED, FAILED],
    [
      "unknown fields",
      { status: "success", dispatcher_version: "9", schema_id: "x" },
      { status: "success" },
    ],
    [
      "null for absent",
      { status: "success", failed_step: null, error: null },
      { status: "success" },
    ],
    [
      "an instance's unit",
      { status: "failed", failed_step: "provision-failed@a\\x2db.service" },
      { status: "failed", failed_step: "provision-failed@a\\x2db.service" },
    ],
  ])("accepts %s (R47)", (_what, document, report) => {
    expect(parseStatusReport(document)).toEqual({ report, findings: [] });
  });

  test.each<[string, unknown, string, string]>([
    ["no object", "success", "", "type"],
    ["no status", {}, "/status", "required"],
    ["another status", { status: "ok" }, "/status", "enum"],
    ["a failure without step", { status: "failed" }, "/failed_step", "required"],
    ["a failure with an empty step", { ...FAILED, failed_step: "" }, "/failed_step", "format"],
    ["a step with a line", { ...FAILED, failed_step: "a\nb" }, "/failed_step", "format"],
    ["a long step", { ...FAILED, failed_step: "a".repeat(256) }, "/failed_step", "format"],
    ["a success with a step", { ...FAILED, status: "success" }, "/failed_step", "contradiction"],
    ["a long delivery id", { ...FAILED, delivery_id: "a".repeat(256) }, "/delivery_id", "format"],
    ["an error that is no text", { ...FAILED, error: {} }, "/error", "type"],
    ["a time of another form", { ...FAILED, started_at: "yesterday" }, "/started_at", "format"],
  ])("refuses %s (R47)", (_what, document, path, code) => {
    const { report, findings } = parseStatusReport(document);
    expect(report).toBeUndefined();
    expect(findings.map((f) => [f.path, f.code])).toEqual([[path, code]]);
  });

  test("cuts a long error and keeps the report", () => {
    const { report } = parseStatusReport({ ...FAILED, error: "x".repeat(100_000) });
    expect(report?.error).toHaveLength(4096);
    expect(report?.error).toEndWith("x…");
  });

  test("gives a report or findings for whatever comes", () => {
    fc.assert(
      fc.property(fc.anything(), (document) => {
        const { report, findings } = parseStatusReport(document);
        expect(report === undefined).toBe(findings.length > 0);
      }),
    );
  });
});

const STEP = "image-linux.service";
const EVENTS: ProgressEvent[] = [
  { type: "checked-in", agent_version: "0.1.0" },
  { type: "step-started", step: STEP },
  { type: "bytes", step: STEP, done: 5, total: 10 },
  { type: "bytes", step: STEP, done: 5, total: null },
  { type: "log", step: STEP, level: "warn", message: "slow" },
  { type: "step-finished", step: STEP, actions: 3 },
  { type: "media-free" },
];

describe("parseProgress()", () => {
  test("gives back every kind of event, in order", () => {
    expect(parseProgress({ events: EVENTS })).toEqual({ events: EVENTS, findings: [] });
    expect(parseProgress({ events: [] })).toEqual({ events: [], findings: [] });
  });

  test.each<[string, unknown, string, string]>([
    ["a bare list", EVENTS, "/events", "type"],
    ["too many", { events: Array(MAX_PROGRESS_EVENTS + 1).fill(EVENTS[6]) }, "/events", "maxItems"],
    ["no object", { events: [EVENTS[0], 1] }, "/events/1", "type"],
    ["an unknown type", { events: [{ type: "x" }] }, "/events/0/type", "enum"],
    ["no step", { events: [{ type: "step-started" }] }, "/events/0/step", "required"],
    ["no version", { events: [{ type: "checked-in" }] }, "/events/0/agent_version", "required"],
    ["negative bytes", { events: [{ ...EVENTS[2], done: -1 }] }, "/events/0/done", "range"],
    ["half a byte", { events: [{ ...EVENTS[2], total: 0.5 }] }, "/events/0/total", "range"],
    ["no count", { events: [{ ...EVENTS[5], actions: null }] }, "/events/0/actions", "required"],
    ["another level", { events: [{ ...EVENTS[4], level: "debug" }] }, "/events/0/level", "enum"],
    ["no message", { events: [{ ...EVENTS[4], message: null }] }, "/events/0/message", "required"],
  ])("refuses %s", (_what, document, path, code) => {
    const { events, findings } = parseProgress(document);
    expect(events).toBeUndefined();
    expect(findings.map((f) => [f.path, f.code])).toEqual([[path, code]]);
  });

  test("cuts long log lines", () => {
    const { events } = parseProgress({ events: [{ ...EVENTS[4], message: "x".repeat(9999) }] });
    expect(events?.[0]).toMatchObject({ message: `${"x".repeat(2047)}…` });
  });
});
