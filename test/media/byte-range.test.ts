// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { parseRange } from "../../src/media/byte-range.ts";

test.each([
  { header: null, answer: "whole" },
  { header: "", answer: "whole" },
  { header: "bytes=0-0", answer: "0-1" },
  { header: "bytes=0-99", answer: "0-100" },
  { header: "bytes=0-", answer: "0-100" },
  { header: "bytes=99-", answer: "99-100" },
  { header: "bytes=10-1000", answer: "10-100" },
  { header: "bytes=10-99999999999999999999999", answer: "10-100" },
  { header: "bytes=-1", answer: "99-100" },
  { header: "bytes=-100", answer: "0-100" },
  { header: "bytes=-1000", answer: "0-100" },
  { header: "Bytes = 5 - 9 ", answer: "5-10" },
  { header: "bytes=100-", answer: "unsatisfiable" },
  { header: "bytes=100-200", answer: "unsatisfiable" },
  { header: "bytes=9-5", answer: "unsatisfiable" },
  { header: "bytes=-0", answer: "unsatisfiable" },
  { header: "bytes=0-4,10-14", answer: "whole" },
  { header: "bytes=-", answer: "whole" },
  { header: "bytes=a-b", answer: "whole" },
  { header: "bytes=1.5-2", answer: "whole" },
  { header: "bytes=--5", answer: "whole" },
  { header: "sectors=0-4", answer: "whole" },
  { header: "0-4", answer: "whole" },
])("R18 Range $header of 100 bytes is $answer", ({ header, answer }) => {
  const range = parseRange(header, 100);
  expect(range.kind === "part" ? `${range.start}-${range.end}` : range.kind).toBe(answer);
});

test("R18 no range of nothing can be satisfied", () => {
  expect(parseRange("bytes=0-", 0)).toEqual({ kind: "unsatisfiable" });
  expect(parseRange("bytes=-5", 0)).toEqual({ kind: "unsatisfiable" });
  expect(parseRange(null, 0)).toEqual({ kind: "whole" });
});
