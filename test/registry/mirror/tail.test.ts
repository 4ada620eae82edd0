// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { millis } from "../../../src/base/units.ts";
import { createFreshness } from "../../../src/registry/mirror/freshness.ts";
import { tail } from "../../../src/registry/mirror/tail.ts";
import { createWatermark } from "../../../src/registry/mirror/watermark.ts";
import { noise } from "../served.ts";

describe("how far a blob has come", () => {
  test("who waits for a byte goes on when it is there", async () => {
    const mark = createWatermark(100);
    const waiting = mark.beyond(9);
    mark.advance(10);
    mark.advance(25);
    expect(await waiting).toBe(25);
    expect(await mark.beyond(24)).toBe(25);
  });

  test("the last byte is there when all of it is verified, not before", async () => {
    const mark = createWatermark(100);
    mark.advance(100);
    expect(await mark.beyond(0)).toBe(99);
    let isThere = false;
    const last = mark.beyond(99).then((readable) => {
      isThere = true;
      return readable;
    });
    await Bun.sleep(0);
    expect(isThere).toBe(false);
    mark.complete();
    expect(await last).toBe(100);
  });

  test("what has come can be read after a failure, and nothing behind it", async () => {
    const mark = createWatermark(100);
    mark.advance(50);
    const waiting = mark.beyond(50);
    mark.fail(new Error("cut"));
    await expect(waiting).rejects.toThrow("cut");
    expect(await mark.beyond(49)).toBe(50);
    await expect(mark.beyond(99)).rejects.toThrow("cut");
  });
});

test("a body reads no faster than it is taken", async () => {
  const bytes = noise(3_000_000);
  const reads: number[] = [];
  const blob = {
    size: bytes.byteLength,
    done: Promise.resolve(),
    beyond: () => Promise.resolve(bytes.byteLength),
    read(first: number, end: number) {
      reads.push(end - first);
      return Promise.resolve(bytes.slice(first, end));
    },
  };
  const reader = tail(blob, { first: 100, last: 2_000_099 }).getReader();
  await Bun.sleep(0);
  expect(reads).toEqual([]);
  await reader.read();
  await Bun.sleep(0);
  expect(reads).toHaveLength(1);
  let size = reads[0] ?? 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    size += next.value.byteLength;
  }
  expect(size).toBe(2_000_000);
});

test("an answer is trusted for its time, and the oldest is forgotten when there are too many", () => {
  let now = 0;
  const fresh = createFreshness(millis(100), () => now);
  expect(fresh.isFresh("a")).toBe(false);
  fresh.answered("a");
  now = 99;
  expect(fresh.isFresh("a")).toBe(true);
  now = 100;
  expect(fresh.isFresh("a")).toBe(false);
  fresh.answered("a");
  for (let i = 0; i < 50_000; i++) fresh.answered(`other ${i}`);
  expect(fresh.isFresh("a")).toBe(false);
  expect(fresh.isFresh("other 0")).toBe(true);
});
