// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { backoff, retryAfter } from "../../src/redfish/retry.ts";

const NOW = Date.UTC(2026, 0, 1, 12, 0, 0);

test.each([
  { header: null, ms: undefined },
  { header: "0", ms: 0 },
  { header: "30", ms: 30_000 },
  { header: "3600", ms: 120_000 },
  { header: "Thu, 01 Jan 2026 12:00:10 GMT", ms: 10_000 },
  { header: "Thu, 01 Jan 2026 11:00:00 GMT", ms: 0 },
  { header: "soon", ms: undefined },
])("R25: Retry-After $header is $ms ms", ({ header, ms }) => {
  expect(retryAfter(header, NOW)).toBe(ms as ReturnType<typeof retryAfter>);
});

test("R25: waits double from 0.5 s to 8 s and jitter only lengthens them", () => {
  const steps = [0, 1, 2, 3, 4, 5].map((attempt) => Number(backoff(attempt, () => 0)));
  expect(steps).toEqual([500, 1000, 2000, 4000, 8000, 8000]);
  expect(Number(backoff(0, () => 0.5))).toBe(550);
});
