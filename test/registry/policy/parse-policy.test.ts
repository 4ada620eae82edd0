// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import Ajv from "ajv";
import fc from "fast-check";
import { parsePolicy } from "../../../src/registry/policy/parse-policy.ts";
import { EMPTY_POLICY } from "../../../src/registry/policy/policy.ts";
import { renderPolicy } from "../../../src/registry/policy/render-policy.ts";

const pem = (pair: { publicKey: { export(o: { type: "spki"; format: "pem" }): unknown } }) =>
  String(pair.publicKey.export({ type: "spki", format: "pem" }));
const P256 = pem(generateKeyPairSync("ec", { namedCurve: "P-256" }));

const FULL = {
  read_only: true,
  rate_limit: { requests_per_second: 0.5, burst: 20 },
  keys: { "build-2026": P256 },
  rules: [
    {
      repositories: "os-images/{debian,ubuntu}/**",
      pull: ["anonymous"],
      push: ["operator", "user:ann"],
      delete: [],
      immutable_tags: ["v[0-9]*"],
      quota: "500G",
      keep: { last: 3, days: 30, tags: ["stable"], untagged_days: 7 },
      signed_by: ["build-2026"],
    },
    { repositories: "**" },
  ],
};

/** Each with the place that the finding must name. */
const BROKEN: readonly (readonly [string, unknown, string])[] = [
  ["no object", [], ""],
  ["an unknown field", { readonly: true }, "/readonly"],
  ["an unknown field of a rule", { rules: [{ repositories: "a", pulls: [] }] }, "/rules/0/pulls"],
  ["a field with a slash in it", { "a/b~c": 1 }, "/a~1b~0c"],
  ["a rule without repositories", { rules: [{ pull: [] }] }, "/rules/0"],
  ["no list of principals", { rules: [{ repositories: "a", pull: null }] }, "/rules/0/pull"],
  [
    "an unknown principal",
    { rules: [{ repositories: "a", pull: ["reader", "root"] }] },
    "/rules/0/pull/1",
  ],
  [
    "anonymous who pushes",
    { rules: [{ repositories: "a", push: ["anonymous"] }] },
    "/rules/0/push/0",
  ],
  ["a user without a name", { rules: [{ repositories: "a", pull: ["user:"] }] }, "/rules/0/pull/0"],
  ["a pattern turned round", { rules: [{ repositories: "!a/**" }] }, "/rules/0/repositories"],
  ["a pattern with an open brace", { rules: [{ repositories: "{a,b" }] }, "/rules/0/repositories"],
  // It would fit "secret" and "secrets", and leave "secret/x" open.
  ["** at the end of a word", { rules: [{ repositories: "secret**" }] }, "/rules/0/repositories"],
  ["** before a word", { rules: [{ repositories: "os/**debian" }] }, "/rules/0/repositories"],
  ["three stars", { rules: [{ repositories: "os/***" }] }, "/rules/0/repositories"],
  ["an empty pattern", { rules: [{ repositories: "" }] }, "/rules/0/repositories"],
  ["a path as a pattern", { rules: [{ repositories: "/a" }] }, "/rules/0/repositories"],
  ["a quota in words", { rules: [{ repositories: "a", quota: "much" }] }, "/rules/0/quota"],
  ["a quota as a number", { rules: [{ repositories: "a", quota: 5 }] }, "/rules/0/quota"],
  ["half a day", { rules: [{ repositories: "a", keep: { days: 0.5 } }] }, "/rules/0/keep/days"],
  [
    "fewer than no tags",
    { rules: [{ repositories: "a", keep: { last: -1 } }] },
    "/rules/0/keep/last",
  ],
  ["a rate without a burst", { rate_limit: { requests_per_second: 1 } }, "/rate_limit"],
  [
    "a rate of nothing",
    { rate_limit: { requests_per_second: 0, burst: 1 } },
    "/rate_limit/requests_per_second",
  ],
  ["a key's name that is none", { keys: { "a b": P256 } }, "/keys/a b"],
];

const ajv = new Ajv({ strict: true, strictTypes: false, allErrors: true });
const SCHEMA = await Bun.file(
  join(import.meta.dir, "../../../schemas/registry-policy.schema.json"),
).json();
const isValid = ajv.compile(SCHEMA);

describe("parsePolicy()", () => {
  test("reads every field, and renderPolicy() writes it again", () => {
    const { policy, findings } = parsePolicy(FULL);
    expect(findings).toEqual([]);
    if (policy === undefined) throw new Error("no policy");
    expect(policy.rules[0]).toMatchObject({
      quotaBytes: 500 * 1024 ** 3,
      delete: [],
      immutableTags: ["v[0-9]*"],
      keep: { last: 3, days: 30, tags: ["stable"], untaggedDays: 7 },
    });
    expect(policy.rules[1]).toMatchObject({ pull: null, push: null, keep: null, signedBy: [] });
    expect(renderPolicy(policy)).toEqual(FULL);
    expect(isValid(FULL)).toBe(true);
  });

  test("takes the empty document for the empty policy", () => {
    expect(parsePolicy({}).policy).toEqual(EMPTY_POLICY);
  });

  test.each(BROKEN)("refuses %s, and so does the schema", (_what, document, path) => {
    const { policy, findings } = parsePolicy(document);
    expect([policy, findings.map((each) => each.path)]).toEqual([undefined, [path]]);
    expect(isValid(document)).toBe(false);
  });

  test("names everything that is wrong at once", () => {
    const { findings } = parsePolicy({
      read_only: 1,
      rules: [{ quota: "x" }, { repositories: 2 }],
    });
    expect(findings.map(({ path }) => path)).toEqual([
      "/read_only",
      "/rules/0",
      "/rules/0/quota",
      "/rules/1/repositories",
    ]);
  });

  test("refuses a signer that is not among the keys", () => {
    const { findings } = parsePolicy({ rules: [{ repositories: "**", signed_by: ["x"] }] });
    expect(findings).toEqual([
      { path: "/rules/0/signed_by/0", code: "unknown_key", message: '"x" is not one of the keys' },
    ]);
  });
});

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
test.each([
  ["ECDSA P-256", true, P256],
  ["ECDSA P-384", true, pem(generateKeyPairSync("ec", { namedCurve: "P-384" }))],
  ["Ed25519", true, pem(generateKeyPairSync("ed25519"))],
  ["RSA of 2048 bits", true, pem(rsa)],
  ["RSA of 1024 bits", false, pem(generateKeyPairSync("rsa", { modulusLength: 1024 }))],
  ["ECDSA P-521", false, pem(generateKeyPairSync("ec", { namedCurve: "P-521" }))],
  ["X25519", false, pem(generateKeyPairSync("x25519"))],
  ["a private key", false, String(rsa.privateKey.export({ type: "pkcs8", format: "pem" }))],
  ["two keys", false, P256 + P256],
  ["text", false, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"],
])("%s is a public key for signatures: %p", (_what, expected, key) => {
  const { policy, findings } = parsePolicy({ keys: { k: key } });
  expect([policy !== undefined, findings.map(({ path }) => path)]).toEqual(
    expected ? [true, []] : [false, ["/keys/k"]],
  );
});

const globText = fc.stringMatching(/^[a-zA-Z0-9*?{}[\]!,./_-]{0,12}$/);
const principalText = fc.oneof(
  fc.constantFrom("anonymous", "reader", "operator", "admin", "root", "user:", "user:ann", ""),
  fc.string({ maxLength: 6 }),
);
const odd = fc.constantFrom<unknown>(null, 1, -1, 1.5, "x", true, [], {}, 1e9);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.oneof({ weight: 6, arbitrary: value }, odd);
const document = fc.record(
  {
    read_only: maybe(fc.boolean()),
    rate_limit: maybe(
      fc.record(
        { requests_per_second: maybe(fc.double({ min: 0, max: 100, noNaN: true })), burst: odd },
        { requiredKeys: [] },
      ),
    ),
    rules: maybe(
      fc.array(
        fc.record(
          {
            repositories: globText,
            pull: maybe(fc.array(principalText, { maxLength: 2 })),
            push: maybe(fc.array(principalText, { maxLength: 2 })),
            delete: maybe(fc.array(principalText, { maxLength: 2 })),
            immutable_tags: maybe(fc.array(globText, { maxLength: 2 })),
            quota: maybe(fc.stringMatching(/^\d{1,3}[KMGTP]?(i?B)?$/)),
            keep: maybe(
              fc.record(
                { last: odd, days: odd, tags: fc.array(globText), untagged_days: odd, more: odd },
                { requiredKeys: [] },
              ),
            ),
            other: odd,
          },
          { requiredKeys: ["repositories"] },
        ),
        { maxLength: 3 },
      ),
    ),
  },
  { requiredKeys: [] },
);

test("the schema and parsePolicy() agree on any document, and what is read is written again", () => {
  const seen = { taken: 0, refused: 0 };
  fc.assert(
    fc.property(document, (value) => {
      const { policy } = parsePolicy(value);
      expect(isValid(value)).toBe(policy !== undefined);
      if (policy === undefined) seen.refused++;
      else {
        seen.taken++;
        expect(parsePolicy(renderPolicy(policy)).policy).toEqual(policy);
      }
    }),
    { numRuns: 2000 },
  );
  expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(20);
}, 30_000);
