// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { isRepository, isTag, parseReference } from "../../src/registry/reference.ts";

const HEX = "a".repeat(64);

describe("parseReference", () => {
  test.each([
    ["debian", null, "debian", null, null, "latest"],
    ["os-images/debian:13", null, "os-images/debian", "13", null, "13"],
    ["oci://os-images/debian:13", null, "os-images/debian", "13", null, "13"],
    ["localhost/debian:13", "localhost", "debian", "13", null, "13"],
    ["controller:8080/a/b:1", "controller:8080", "a/b", "1", null, "1"],
    ["ghcr.io/a/b", "ghcr.io", "a/b", null, null, "latest"],
    ["[fd00::1]:5000/a:1", "[fd00::1]:5000", "a", "1", null, "1"],
    [`a/b@sha256:${HEX}`, null, "a/b", null, `sha256:${HEX}`, `sha256:${HEX}`],
    [`h.x:1/a/b:t@sha256:${HEX}`, "h.x:1", "a/b", "t", `sha256:${HEX}`, `sha256:${HEX}`],
  ])("%s", (text, registry, repository, tag, digest, reference) => {
    expect(parseReference(text)).toEqual({ registry, repository, tag, digest, reference } as never);
  });

  test.each([
    "",
    "A/b",
    "a//b",
    "../a",
    "a/../b",
    "a/b:",
    "a:b c",
    "a@sha256:12",
    `a@md5:${HEX}`,
    `a@sha256:${HEX}@sha256:${HEX}`,
    "ho st:1/a",
    "https://host/a:1",
    `${"a".repeat(256)}`,
  ])("refuses %j", (text) => {
    expect(() => parseReference(text)).toThrow(
      expect.objectContaining({ code: "ARTIFACT_INVALID" }),
    );
  });
});

test.each([
  ["a", true],
  ["a/b/c", true],
  ["a__b/c-d.e", true],
  ["a---b", true],
  ["a___b", false],
  ["-a", false],
  ["a/", false],
  [".a", false],
  ["a/..", false],
  ["a\\b", false],
])("isRepository(%j) is %p", (name, expected) => {
  expect(isRepository(name)).toBe(expected);
});

test.each([
  ["_x.y-Z", true],
  ["a".repeat(128), true],
  ["a".repeat(129), false],
  [".a", false],
  ["a/b", false],
])("isTag(%j) is %p", (text, expected) => {
  expect(isTag(text)).toBe(expected);
});
