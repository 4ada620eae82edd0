// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Finding } from "../../base/findings.ts";
import { isPublicKey } from "../signatures/public-key.ts";
import type { Keep, Policy, Principal, RateLimit, Rule } from "./policy.ts";
import {
  boolean,
  finding,
  inside,
  integer,
  list,
  named,
  number,
  object,
  type Place,
  type Read,
  text,
} from "./policy-fields.ts";
import { parseQuota } from "./quota-size.ts";

/** The policy, or everything that is wrong with the document. */
export type ParsedPolicy =
  | { readonly policy: Policy; readonly findings: readonly [] }
  | { readonly policy: undefined; readonly findings: readonly Finding[] };

/**
 * The only way a document (`schemas/registry-policy.schema.json`) becomes a {@link Policy}. Fields that it
 * does not know are refused: a misspelt one would leave open what somebody wanted closed.
 */
export function parsePolicy(document: unknown): ParsedPolicy {
  const findings: Finding[] = [];
  const policy = POLICY(document, { path: "", findings });
  if (policy !== undefined) findings.push(...unknownSigners(policy));
  return policy === undefined || findings.length > 0
    ? { policy: undefined, findings }
    : { policy, findings: [] as const };
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
/**
 * What names and tags are made of, and what globs add. A leading `!` would turn a pattern round, and `**` beside
 * anything but a slash is no more than `*`: a rule for `secret**` would leave `secret/x` open.
 */
const REPOSITORY_GLOB =
  /^(?!.*[^/{,]\*\*)(?!.*\*\*[^/},])[a-z0-9*?{[][a-z0-9._/*?{},[\]^!-]{0,254}$/;
const TAG_GLOB = /^[A-Za-z0-9_*?{[][A-Za-z0-9._*?{},[\]^!-]{0,254}$/;
const ROLES = ["anonymous", "reader", "operator", "admin"] as const;
const DAYS_MAX = 36_500;

const name = text((value) => (NAME.test(value) ? value : undefined), "a plain name");
export const repositoryGlob = glob(REPOSITORY_GLOB, "os-images/**");
const tag = glob(TAG_GLOB, "v*");
const days = integer(0, DAYS_MAX);
const nobody: readonly never[] = [];

function glob(pattern: RegExp, example: string): Read<string> {
  const isGlob = (value: string) => pattern.test(value) && isClosed(value);
  return text(
    (value) => (isGlob(value) ? value : undefined),
    `a name, or a pattern such as ${example}`,
  );
}

/** Each `{` and `[` has its end: Bun takes what has none for something that fits nothing. */
function isClosed(pattern: string): boolean {
  return !/[{}[\]]/.test(pattern.replaceAll(/\{[^{}[\]]*\}|\[[^{}[\]]+\]/g, ""));
}

const principal = text(
  (value): Principal | undefined =>
    ROLES.find((role) => role === value) ??
    (value.startsWith("user:") && NAME.test(value.slice(5)) ? `user:${value.slice(5)}` : undefined),
  `${ROLES.join(", ")} or user:NAME`,
);

/** Whoever changes something can be told from others. */
const knownPrincipal: Read<Principal> = (value, place) =>
  value === "anonymous"
    ? finding(place, "enum", "must be somebody with credentials")
    : principal(value, place);

const RATE_LIMIT: Read<RateLimit> = object<RateLimit>({
  requestsPerSecond: { name: "requests_per_second", read: number(0.01, 1_000_000) },
  burst: { name: "burst", read: integer(1, 1_000_000) },
});

const KEEP: Read<Keep> = object<Keep>({
  last: { name: "last", read: integer(0, 1_000_000), absent: null },
  days: { name: "days", read: days, absent: null },
  tags: { name: "tags", read: list(tag), absent: nobody },
  untaggedDays: { name: "untagged_days", read: days, absent: null },
});

const RULE: Read<Rule> = object<Rule>({
  repositories: { name: "repositories", read: repositoryGlob },
  pull: { name: "pull", read: list(principal), absent: null },
  push: { name: "push", read: list(knownPrincipal), absent: null },
  delete: { name: "delete", read: list(knownPrincipal), absent: null },
  immutableTags: { name: "immutable_tags", read: list(tag), absent: nobody },
  quotaBytes: { name: "quota", read: text(parseQuota, "a size such as 500G"), absent: null },
  keep: { name: "keep", read: KEEP, absent: null },
  signedBy: { name: "signed_by", read: list(name), absent: nobody },
});

const publicKey = text(
  (value) => (isPublicKey(value) ? value : undefined),
  "a public key in PEM: ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits and more",
);

const POLICY: Read<Policy> = object<Policy>({
  readOnly: { name: "read_only", read: boolean, absent: false },
  rateLimit: { name: "rate_limit", read: RATE_LIMIT, absent: null },
  keys: { name: "keys", read: named((key) => NAME.test(key), publicKey), absent: {} },
  rules: { name: "rules", read: list(RULE), absent: nobody },
});

function unknownSigners(policy: Policy): Finding[] {
  const place: Place = { path: "", findings: [] };
  for (const [i, { signedBy }] of policy.rules.entries()) {
    for (const [j, key] of signedBy.entries()) {
      if (Object.hasOwn(policy.keys, key)) continue;
      const at = inside(inside(inside(inside(place, "rules"), i), "signed_by"), j);
      finding(at, "unknown_key", `"${key}" is not one of the keys`);
    }
  }
  return place.findings;
}
