// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Questions about a mounted file tree and their answers, both as data: a planner says what it has to
 * know, a probe looks, and the planner reads the answer.
 */

/** Paths and globs are relative to `root` and never leave it, whatever symlinks say. */
export interface Look {
  /** Where the tree is mounted: `/mnt/target`. */
  readonly root: string;
  /** Globs of which all matches are wanted. */
  readonly find: readonly string[];
  /** Globs of small text files whose contents are wanted. */
  readonly read: readonly string[];
  /** Files whose SHA-256 is wanted: for contents that must not be seen. */
  readonly hash: readonly string[];
}

export interface Found {
  /** Every path that matched, relative to the root, sorted. */
  readonly paths: readonly string[];
  /** Contents by path; files that do not exist are absent. */
  readonly texts: Readonly<Record<string, string>>;
  /** Lower-case hex by path; files that do not exist are absent. */
  readonly sha256: Readonly<Record<string, string>>;
  /** There is something, but it could not be mounted to be looked at. */
  readonly isUnreadable?: true;
}

/** Of a tree that could not be mounted. */
export const UNREADABLE_TREE: Found = { paths: [], texts: {}, sha256: {}, isUnreadable: true };

export const NOTHING_FOUND: Found = { paths: [], texts: {}, sha256: {} };
