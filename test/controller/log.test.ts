// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { ProvError } from "../../src/base/errors.ts";
import { createLog } from "../../src/controller/log.ts";

function lines(level: "info" | "debug"): [ReturnType<typeof createLog>, Record<string, unknown>[]] {
  const written: Record<string, unknown>[] = [];
  const log = createLog(level, { write: (line) => void written.push(JSON.parse(line)) });
  return [log, written];
}

test("R54 a line has its time, level, fields and message", () => {
  const [log, written] = lines("info");
  log.debug({}, "not shown");
  log.info({ job_id: "j1", server_serial: "SN1" }, "job created");
  expect(written).toEqual([
    {
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      job_id: "j1",
      server_serial: "SN1",
      msg: "job created",
    },
  ]);
});

test("an error is its chain, code and hint", () => {
  const [log, written] = lines("info");
  const cause = new Error("HTTP 503");
  const err = new ProvError("Cannot probe", { code: "BMC_UNREACHABLE", cause, hint: "Wait." });
  log.warn({ err }, "phase failed");
  expect(written[0]?.err).toEqual({
    message: "Cannot probe: HTTP 503",
    code: "BMC_UNREACHABLE",
    hint: "Wait.",
  });
});

test("R53 fields with the names of secrets are hidden", () => {
  const [log, written] = lines("info");
  log.info({ password: "CANARY", server: { token: "CANARY" } }, "a mistake");
  expect(JSON.stringify(written)).not.toContain("CANARY");
});
