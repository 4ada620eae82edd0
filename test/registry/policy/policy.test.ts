// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import {
  EMPTY_POLICY,
  fits,
  NO_RULE,
  type Rule,
  ruleFor,
} from "../../../src/registry/policy/policy.ts";

test.each([
  ["os-images/**", "os-images/debian", true],
  ["os-images/**", "os-images/a/b", true],
  ["os-images/*", "os-images/a/b", false],
  ["os-images/*", "os-images/debian", true],
  ["os-images/**", "other/os-images/debian", false],
  ["**", "a/b/c", true],
  ["{tools,os}/**", "tools/sgdisk", true],
  ["v*", "v1.0", true],
  ["v*", "1.0", false],
  ["v[0-9]*", "vx", false],
] as const)("the glob %s fits %s: %p", (pattern, name, expected) => {
  expect(fits(pattern, name)).toBe(expected);
});

test("the first rule that fits is the one that counts", () => {
  const rule = (repositories: string): Rule => ({ ...NO_RULE, repositories });
  const rules = [rule("os/debian"), rule("os/**"), rule("os/fedora")];
  const policy = { ...EMPTY_POLICY, rules };
  const found = ["os/debian", "os/fedora", "tools/x"].map((name) => ruleFor(policy, name));
  expect(found.map((each) => each.repositories)).toEqual(["os/debian", "os/**", "**"]);
  expect(found[2]).toBe(NO_RULE);
});
