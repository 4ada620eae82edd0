// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { partitionTypeGuid } from "../../src/recipe/partition-type.ts";
import { parseSize } from "../../src/recipe/size.ts";

describe("partitionTypeGuid()", () => {
  test.each([
    { text: "ef00", guid: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" },
    { text: "EF00", guid: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" },
    { text: "0c01", guid: "e3c9e316-0b5c-4db8-817d-f92df00215ae" },
    { text: "8300", guid: "0fc63daf-8483-4772-8e79-3d69d8477de4" },
    {
      text: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
      guid: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
    },
    { text: "C12A7328F81F11D2BA4B00A0C93EC93B", guid: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" },
    { text: "1234", guid: undefined },
  ])("$text is $guid", ({ text, guid }) => {
    expect(partitionTypeGuid(text)).toBe(guid as string);
  });
});

describe("parseSize()", () => {
  test.each([
    { text: "512M", bytes: 512 * 1024 ** 2 },
    { text: "512MB", bytes: 512 * 1024 ** 2 },
    { text: "512MiB", bytes: 512 * 1024 ** 2 },
    { text: "3G", bytes: 3 * 1024 ** 3 },
    { text: "2T", bytes: 2 * 1024 ** 4 },
    { text: "1048576", bytes: 1_048_576 },
    { text: "1048576B", bytes: 1_048_576 },
    { text: "7K", bytes: 7168 },
  ])("$text is $bytes bytes", ({ text, bytes }) => {
    expect(parseSize(text)).toEqual({ kind: "fixed", bytes });
  });

  test("tells a share from the rest", () => {
    expect(parseSize("40%")).toEqual({ kind: "percent", percent: 40 });
    expect(parseSize("100%")).toEqual({ kind: "rest" });
  });

  test("throws SyntaxError for anything else", () => {
    expect(() => parseSize("all")).toThrow(SyntaxError);
  });
});
