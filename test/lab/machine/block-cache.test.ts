// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import fc from "fast-check";
import { cacheBlocks } from "../../../src/lab/machine/block-cache.ts";

const SOURCE = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);

function counted(keep: number) {
  const reads: number[] = [];
  const read = cacheBlocks(
    (start, end) => {
      reads.push(start);
      return Promise.resolve(SOURCE.slice(start, end));
    },
    { size: SOURCE.length, block: 64, keep },
  );
  return { reads, read };
}

test("any ranges in any order read the same bytes as the source", async () => {
  const range = fc.tuple(fc.nat(999), fc.integer({ min: 1, max: 300 }));
  await fc.assert(
    fc.asyncProperty(fc.array(range, { maxLength: 20 }), async (ranges) => {
      const { read } = counted(3);
      for (const [start, length] of ranges) {
        expect(await read(start, start + length)).toEqual(SOURCE.slice(start, start + length));
      }
    }),
  );
});

test("small reads share one large one, and the next block comes ahead", async () => {
  const { reads, read } = counted(8);
  await Promise.all([read(0, 10), read(10, 20), read(20, 64)]);
  expect(reads).toEqual([0]);
  await read(64, 70);
  expect(reads).toEqual([0, 64, 128]);
  await read(128, 140);
  expect(reads).toEqual([0, 64, 128, 192]);
});

test("the least recently used block is forgotten", async () => {
  const { reads, read } = counted(2);
  for (const start of [0, 256, 0, 512, 0, 256]) await read(start, start + 1);
  expect(reads).toEqual([0, 256, 512, 256]);
});

test("a failed read is tried again by the next reader", async () => {
  let fails = true;
  const read = cacheBlocks(
    (start, end) =>
      fails ? Promise.reject(new Error("down")) : Promise.resolve(SOURCE.slice(start, end)),
    { size: SOURCE.length, block: 64, keep: 2 },
  );
  expect(read(0, 1)).rejects.toThrow("down");
  await Promise.resolve();
  fails = false;
  expect(await read(0, 1)).toEqual(SOURCE.slice(0, 1));
});
