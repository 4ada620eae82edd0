// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, jest, test } from "bun:test";
import { realSleep } from "../../src/base/deps.ts";
import { minutes } from "../../src/base/units.ts";

const DAY = 24 * 60;

test("sleeps for longer than a timer can, and can be woken", async () => {
  jest.useFakeTimers();
  try {
    const ending = new AbortController();
    const ends: string[] = [];
    const note = (end: string) => () => void ends.push(end);
    realSleep(minutes(30 * DAY)).then(note("over"), note("failed"));
    realSleep(minutes(60 * DAY), ending.signal).then(note("failed"), note("woken"));
    const pass = async (ms: number) => {
      jest.advanceTimersByTime(ms);
      for (let i = 0; i < 9; i++) await Promise.resolve();
    };
    for (let day = 0; day < 29; day++) await pass(minutes(DAY));
    expect(ends).toEqual([]);
    await pass(minutes(DAY));
    expect(ends).toEqual(["over"]);
    ending.abort(new Error("enough"));
    await pass(0);
    expect(ends).toEqual(["over", "woken"]);
  } finally {
    jest.useRealTimers();
  }
});
