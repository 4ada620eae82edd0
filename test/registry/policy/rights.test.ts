// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  EMPTY_POLICY,
  NO_RULE,
  type Policy,
  type Rule,
} from "../../../src/registry/policy/policy.ts";
import {
  type Caller,
  type ContentAction,
  isGranted,
  mayDo,
  type Rank,
  ROLE_RANK,
} from "../../../src/registry/policy/rights.ts";

const RANKS = Object.keys(ROLE_RANK) as Rank[];
const ACTIONS: readonly ContentAction[] = ["pull", "push", "delete"];
const caller = (role: Rank, name: string | null = null): Caller => ({ role, name });

/** `reader anonymous` as "12…": who may without any rule. */
test.each([
  ["pull", false, ["reader", "operator", "admin"]],
  ["pull", true, ["anonymous", "reader", "operator", "admin"]],
  ["push", true, ["operator", "admin"]],
  ["delete", true, ["operator", "admin"]],
] as const)(
  "without a rule, %s (anonymous pull %p) is for %p",
  (action, anonymousPull, expected) => {
    const rules = { policy: EMPTY_POLICY, defaults: { anonymousPull } };
    expect(RANKS.filter((role) => mayDo(rules, caller(role), action, "a/b"))).toEqual([
      ...expected,
    ]);
  },
);

const rule = (repositories: string, lists: Partial<Rule>): Rule => ({
  ...NO_RULE,
  repositories,
  ...lists,
});

test("R51 a list replaces the default: fewer may, others may, and administrators always", () => {
  const policy: Policy = {
    ...EMPTY_POLICY,
    rules: [
      rule("open/**", { pull: ["anonymous"] }),
      rule("ann/**", { pull: ["user:ann"], push: ["user:ann"], delete: [] }),
      rule("**", { push: ["reader"] }),
    ],
  };
  const may = (who: Caller, action: ContentAction, repository: string) =>
    mayDo({ policy, defaults: { anonymousPull: false } }, who, action, repository);
  expect(may(caller("anonymous"), "pull", "open/x")).toBe(true);
  expect(may(caller("reader", "bob"), "pull", "open/x")).toBe(true);
  expect(may(caller("anonymous"), "pull", "other")).toBe(false);
  expect(may(caller("reader", "ann"), "push", "ann/x")).toBe(true);
  expect(may(caller("operator", "bob"), "pull", "ann/x")).toBe(false);
  expect(may(caller("reader", "ann"), "delete", "ann/x")).toBe(false);
  expect(may(caller("admin", "root"), "delete", "ann/x")).toBe(true);
  expect(may(caller("operator", "bob"), "push", "other")).toBe(true);
});

const principal = fc.constantFrom("anonymous", "reader", "operator", "user:ann", "user:bob");
const list = fc.option(fc.array(principal, { maxLength: 3 }));
const anyPolicy = fc
  .array(
    fc.record({
      repositories: fc.constantFrom("a", "a/*", "a/**", "b/**", "{a,b}/x", "**"),
      pull: list,
      push: list,
      delete: list,
    }),
    { maxLength: 4 },
  )
  .map(
    (rules): Policy => ({
      ...EMPTY_POLICY,
      rules: rules.map((r) => rule(r.repositories, r as Partial<Rule>)),
    }),
  );
const repository = fc.constantFrom("a", "a/x", "a/x/y", "b/x", "c");

/** The same said another way: written out for each role, and without globs. */
function model(policy: Policy, who: Caller, action: ContentAction, name: string, open: boolean) {
  const FITS: Readonly<Record<string, RegExp>> = {
    a: /^a$/,
    "a/*": /^a\/[^/]+$/,
    "a/**": /^a\/.+$/,
    "b/**": /^b\/.+$/,
    "{a,b}/x": /^[ab]\/x$/,
    "**": /^.*$/,
  };
  if (who.role === "admin") return true;
  const found = policy.rules.find(({ repositories }) => FITS[repositories]?.test(name));
  const defaults = {
    pull: open ? ["anonymous"] : ["reader"],
    push: ["operator"],
    delete: ["operator"],
  };
  const allowed: readonly string[] = found?.[action] ?? defaults[action];
  const is: Readonly<Record<Rank, readonly string[]>> = {
    anonymous: ["anonymous"],
    reader: ["anonymous", "reader"],
    operator: ["anonymous", "reader", "operator"],
    admin: [],
  };
  return [...is[who.role], `user:${who.name}`].some((each) => allowed.includes(each));
}

test("R51 of any policy the first rule that fits decides, and a higher role never may less", () => {
  let allowed = 0;
  let denied = 0;
  fc.assert(
    fc.property(
      anyPolicy,
      repository,
      fc.constantFrom(...ACTIONS),
      fc.boolean(),
      (policy, name, action, anonymousPull) => {
        const rules = { policy, defaults: { anonymousPull } };
        for (const user of ["ann", "eve", null]) {
          const rights = RANKS.map((role) => mayDo(rules, caller(role, user), action, name));
          const wanted = RANKS.map((role) =>
            model(policy, caller(role, user), action, name, anonymousPull),
          );
          expect(rights).toEqual(wanted);
          expect(rights.toSorted((a, b) => Number(a) - Number(b))).toEqual(rights);
          allowed += rights.filter(Boolean).length;
          denied += rights.filter((right) => !right).length;
        }
      },
    ),
    { numRuns: 500 },
  );
  expect(Math.min(allowed, denied)).toBeGreaterThan(500);
});

test("R51 a robot may exactly what is granted", () => {
  const grants = [
    { repositories: "os/**", actions: ["pull", "push"] },
    { repositories: "tools/*", actions: ["delete"] },
  ] as const;
  const may = ["os/a", "os/a/b", "os", "tools/x", "tools/x/y", "other"].map((name) => [
    name,
    ACTIONS.filter((action) => isGranted(grants, action, name)).join(" "),
  ]);
  expect(may).toEqual([
    ["os/a", "pull push"],
    ["os/a/b", "pull push"],
    ["os", ""],
    ["tools/x", "delete"],
    ["tools/x/y", ""],
    ["other", ""],
  ]);
});
