// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The registry's policy: one document that says, for each part of the registry, who may do what, what
 * is kept, and what must be signed. For each repository exactly one rule counts: the first whose
 * pattern fits.
 */

/**
 * Everybody at all, everybody of a role or of one above it, or one user by name. Whoever logs in can never do
 * less for it, and a higher role never less than a lower one.
 */
export type Principal = "anonymous" | "reader" | "operator" | "admin" | `user:${string}`;

export interface Policy {
  /** Nothing is pushed or deleted, by nobody. */
  readonly readOnly: boolean;
  /** Of `/v2/` requests, for each caller on its own; null: no limit. */
  readonly rateLimit: RateLimit | null;
  /** Public keys in PEM, by the name that rules use. */
  readonly keys: Readonly<Record<string, string>>;
  readonly rules: readonly Rule[];
}

export interface RateLimit {
  readonly requestsPerSecond: number;
  /** How many may come at once. */
  readonly burst: number;
}

export interface Rule {
  /** Glob over repository names: `*` stays within a component, `**` stands for whole components. */
  readonly repositories: string;
  /** Who may; null: as if there were no rule. Administrators always may. */
  readonly pull: readonly Principal[] | null;
  readonly push: readonly Principal[] | null;
  readonly delete: readonly Principal[] | null;
  /** Globs of tags that are set once: neither moved nor deleted afterwards. */
  readonly immutableTags: readonly string[];
  /** Bytes that all repositories of the rule may have together; null: no limit. */
  readonly quotaBytes: number | null;
  /** What the housekeeping keeps; null: everything. */
  readonly keep: Keep | null;
  /** Names of {@link Policy.keys}, of which one must have signed what a job gets. Empty: none must. */
  readonly signedBy: readonly string[];
}

/** A tag is kept when any of these says so; immutable ones are kept in any case. */
export interface Keep {
  /** The newest so many of each repository; null: says nothing. */
  readonly last: number | null;
  /** Those set within so many days; null: says nothing. */
  readonly days: number | null;
  /** Globs. */
  readonly tags: readonly string[];
  /** Days after which a manifest without a tag, and with nothing that refers to it, goes; null: never. */
  readonly untaggedDays: number | null;
}

/** For repositories that no rule fits. */
export const NO_RULE: Rule = {
  repositories: "**",
  pull: null,
  push: null,
  delete: null,
  immutableTags: [],
  quotaBytes: null,
  keep: null,
  signedBy: [],
};

export const EMPTY_POLICY: Policy = { readOnly: false, rateLimit: null, keys: {}, rules: [] };

/** The rule that counts for a repository. */
export function ruleFor(policy: Policy, repository: string): Rule {
  return policy.rules.find((rule) => fits(rule.repositories, repository)) ?? NO_RULE;
}

/** Compiled patterns: each request asks for some, and a policy has few. */
const globs = new Map<string, Bun.Glob>();
const GLOBS_MAX = 10_000;

/** Whether a glob fits the whole of a repository's name or a tag. */
export function fits(pattern: string, name: string): boolean {
  let glob = globs.get(pattern);
  if (glob === undefined) {
    if (globs.size >= GLOBS_MAX) globs.clear();
    glob = new Bun.Glob(pattern);
    globs.set(pattern, glob);
  }
  return glob.match(name);
}
