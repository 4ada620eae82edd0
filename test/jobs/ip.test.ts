// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { isIP } from "node:net";
import fc from "fast-check";
import { isInside, isLinkLocal, parseIp, parsePrefix } from "../../src/jobs/ip.ts";

const family = (text: string) => parseIp(text)?.family ?? 0;

/** Text of the alphabet of addresses, most of it wrong in small ways. */
const almostAddress = fc.array(
  fc.constantFrom("0", "1", "255", "256", "ffff", "g", ":", "::", ".", "%1"),
  { maxLength: 18 },
);

describe("parseIp()", () => {
  test("knows an address when node:net does", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.ipV4(),
          fc.ipV6(),
          almostAddress.map((a) => a.join("")),
        ),
        (text) => {
          expect(family(text)).toBe(text.includes("%") ? 0 : isIP(text));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test.each([
    ["192.0.2.1", 0xc0000201n],
    ["::", 0n],
    ["::1", 1n],
    ["2001:db8::1:0:2", 0x20010db8000000000000000100000002n],
    ["::ffff:192.0.2.1", 0xffffc0000201n],
    ["1:2:3:4:5:6:7::", 0x00010002000300040005000600070000n],
  ])("reads %s", (text, value) => {
    expect(parseIp(text)?.value).toBe(value);
  });

  test.each([
    "",
    "1.2.3",
    "01.2.3.4",
    "1.2.3.4.5",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7:8::",
    "fe80::1%eth0",
  ])("refuses %p", (text) => expect(parseIp(text)).toBeUndefined());
});

describe("parsePrefix()", () => {
  test.each([
    "192.0.2.1",
    "192.0.2.1/33",
    "2001:db8::/129",
    "192.0.2.1/",
    "192.0.2.1/024",
    "1.2.3.4/8/8",
    "x/8",
  ])("refuses %p", (text) => expect(parsePrefix(text)).toBeUndefined());
});

test.each([
  ["192.0.2.1", "192.0.2.9/24", true],
  ["192.0.3.1", "192.0.2.9/24", false],
  ["192.0.3.1", "192.0.2.9/0", true],
  ["192.0.2.9", "192.0.2.9/32", true],
  ["2001:db8::1", "2001:db8::ffff/64", true],
  ["2001:db8:0:1::1", "2001:db8::ffff/64", false],
  ["192.0.2.1", "::/0", false],
])("isInside(%s, %s) is %p", (ip, prefix, expected) => {
  const parsed = { ip: parseIp(ip), prefix: parsePrefix(prefix) };
  if (parsed.ip === undefined || parsed.prefix === undefined) throw new Error("Wrong table");
  expect(isInside(parsed.ip, parsed.prefix)).toBe(expected);
});

test.each([
  ["fe80::1", true],
  ["febf::1", true],
  ["fec0::1", false],
  ["169.254.1.1", false],
])("isLinkLocal(%s) is %p", (text, expected) => {
  const ip = parseIp(text);
  expect(ip !== undefined && isLinkLocal(ip)).toBe(expected);
});
