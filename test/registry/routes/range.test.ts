// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { parseContentRange, parseRange } from "../../../src/registry/routes/range.ts";

test.each([
  [null, "all"],
  ["bytes=0-0", { first: 0, last: 0 }],
  ["bytes=2-4", { first: 2, last: 4 }],
  ["bytes=2-", { first: 2, last: 9 }],
  ["bytes=2-99", { first: 2, last: 9 }],
  ["bytes=-3", { first: 7, last: 9 }],
  ["bytes=-99", { first: 0, last: 9 }],
  ["bytes=-0", "unsatisfiable"],
  ["bytes=10-", "unsatisfiable"],
  ["bytes=5-0", "unsatisfiable"],
  ["bytes=500-0", "unsatisfiable"],
  ["bytes=-", "unsatisfiable"],
  ["bytes=x-y", "unsatisfiable"],
  ["bytes=0-1,3-4", "all"],
  ["items=0-1", "all"],
])("Range %p of ten bytes", (header, expected) => {
  expect(parseRange(header, 10)).toEqual(expected as never);
});

test("an empty blob has no ranges", () => {
  expect(parseRange("bytes=0-", 0)).toBe("unsatisfiable");
  expect(parseRange("bytes=-1", 0)).toBe("unsatisfiable");
});

test.each([
  ["0-99", { first: 0, last: 99 }],
  ["bytes 5-6/7", { first: 5, last: 6 }],
  ["bytes=5-6", { first: 5, last: 6 }],
  ["6-5", undefined],
  ["5", undefined],
  ["a-b", undefined],
  ["", undefined],
])("Content-Range %p", (header, expected) => {
  expect(parseContentRange(header)).toEqual(expected as never);
});
