// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { createLineLimit } from "../../src/controller/api/line-limit.ts";
import { FakeClock } from "./fake-clock.ts";

test("a tool that talks for hours leaves room for the end of its job's history", async () => {
  const clock = new FakeClock();
  const limit = createLineLimit(clock.now);
  const line = { step: "image-linux.service", level: "info", message: "line" } as const;
  const admitted = [];
  for (let minute = 0; minute < 300; minute++) {
    for (let i = 0; i < 60; i++) admitted.push(...limit.admit("chatty", line));
    await clock.advance(60_000);
  }
  expect(admitted).toHaveLength(5001);
  expect(admitted.at(-1)).toMatchObject({
    level: "warn",
    message: "More than 5000 log lines: the rest is only in the server's journal",
  });
  expect(limit.admit("another", line)).toHaveLength(1);
});
