// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { millis } from "../../src/base/units.ts";
import { deadline } from "../../src/dispatcher/deadline.ts";

const aborted = (signal: AbortSignal) =>
  new Promise<unknown>((resolve) => {
    signal.addEventListener("abort", () => resolve(signal.reason));
  });

test("a step that takes too long says so itself, before systemd ends it (R31)", async () => {
  using limit = deadline("partition", millis(1), new AbortController().signal);
  expect(await aborted(limit.signal)).toMatchObject({
    code: "COMMAND_TIMED_OUT",
    message: expect.stringContaining("partition was not done within"),
  });
});

test("a step that is stopped before hears the reason", async () => {
  const stop = new AbortController();
  using limit = deadline("partition", millis(60_000), stop.signal);
  const reason = aborted(limit.signal);
  stop.abort("SIGTERM");
  expect(await reason).toBe("SIGTERM");
});
