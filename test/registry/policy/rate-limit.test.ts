// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { createRateLimiter } from "../../../src/registry/policy/rate-limit.ts";

const LIMIT = { requestsPerSecond: 2, burst: 3 };

test("R53 a burst, then the rate, for each caller on its own", () => {
  let now = 0;
  const limiter = createRateLimiter(() => now);
  const take = (caller: string) => limiter.take(caller, LIMIT);
  expect([take("a"), take("a"), take("a"), take("a")]).toEqual([0, 0, 0, 500]);
  expect(take("b")).toBe(0);
  now = 499;
  expect(take("a")).toBeWithin(1, 3);
  now = 502;
  expect(take("a")).toBe(0);
  expect(take("a")).toBeWithin(490, 501);
  now = 60_000;
  expect([take("a"), take("a"), take("a"), take("a")]).toEqual([0, 0, 0, 500]);
});

test("R53 a clock that goes back gives nothing away and takes nothing", () => {
  let now = 10_000;
  const limiter = createRateLimiter(() => now);
  for (let i = 0; i < 3; i++) limiter.take("a", LIMIT);
  now = 0;
  expect(limiter.take("a", LIMIT)).toBe(500);
  now = 500;
  expect(limiter.take("a", LIMIT)).toBe(0);
});

test("R53 a flood of callers does not fill memory, and a busy one stays limited", () => {
  const limiter = createRateLimiter(() => 0);
  for (let i = 0; i < 25_000; i++) {
    limiter.take(`address ${i}`, LIMIT);
    if (i % 1000 === 0) limiter.take("busy", LIMIT);
  }
  expect(limiter.take("busy", LIMIT)).toBe(500);
});
