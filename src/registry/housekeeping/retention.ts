// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Which tags a rule keeps no longer. Pure: what is removed is decided here, and only there.
 */
import type { TagLink } from "../catalog/pages.ts";
import { type Digest, parseDigest } from "../digest.ts";
import type { Keep, Rule } from "../policy/policy.ts";

export const DAY_MS = 24 * 3600 * 1000;

/** One repository's tags, with what decides about them. Times are Unix epoch, ms. */
export interface TagQuestion {
  readonly tags: readonly TagLink[];
  readonly rule: Rule;
  readonly now: number;
  /** What was set after this stays. */
  readonly freshAfter: number;
  /** Manifests that running jobs need. */
  readonly inUse: ReadonlySet<Digest>;
}

/** Tags that go, the newest first. */
export function planTags({ tags, rule, now, freshAfter, inUse }: TagQuestion): TagLink[] {
  const { keep } = rule;
  if (keep === null || !hasTagRule(keep)) return [];
  const isKeptByName = globs([...keep.tags, ...rule.immutableTags]);
  const daysAfter = keep.days === null ? Number.POSITIVE_INFINITY : now - keep.days * DAY_MS;
  return tags
    .filter(({ tag }) => subjectOfTag(tag) === undefined)
    .toSorted((a, b) => b.updatedAt - a.updatedAt || (a.tag < b.tag ? 1 : -1))
    .slice(keep.last ?? 0)
    .filter(
      ({ tag, digest, updatedAt }) =>
        updatedAt <= freshAfter &&
        updatedAt <= daysAfter &&
        !inUse.has(digest) &&
        !isKeptByName(tag),
    );
}

/** A rule that says nothing of tags keeps them all. */
function hasTagRule({ last, days, tags }: Keep): boolean {
  return last !== null || days !== null || tags.length > 0;
}

export function globs(patterns: readonly string[]): (name: string) => boolean {
  const compiled = patterns.map((pattern) => new Bun.Glob(pattern));
  return (name) => compiled.some((glob) => glob.match(name));
}

/**
 * The manifest that a tag belongs to by its name: `sha256-<hex>` is the referrers tag schema of
 * distribution-spec 1.1, `sha256-<hex>.sig`, `.att` and `.sbom` are cosign's.
 */
export function subjectOfTag(tag: string): Digest | undefined {
  const match = /^(sha256|sha512)-([0-9a-f]+)(?:\.[a-z]+)?$/.exec(tag);
  return match === null ? undefined : parseDigest(`${match[1]}:${match[2]}`);
}
