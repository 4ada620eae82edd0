// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Which manifests of a repository nothing keeps. A manifest is kept by a tag, a job or its youth, and
 * then keeps the manifests it names and those that refer to it: signatures, SBOMs.
 */
import type { ManifestLinks, TagLink } from "../catalog/pages.ts";
import type { Doomed } from "../catalog/removals.ts";
import type { Digest } from "../digest.ts";
import type { Pace } from "../pace.ts";
import { subjectOfTag } from "./retention.ts";

export interface ManifestNode extends ManifestLinks {
  /** Manifests of the same repository that it names. */
  readonly children: readonly Digest[];
}

export interface ManifestQuestion {
  readonly manifests: ReadonlyMap<Digest, ManifestNode>;
  /** Those that stay. */
  readonly tags: readonly TagLink[];
  readonly isImmutable: (tag: string) => boolean;
  readonly inUse: ReadonlySet<Digest>;
  /** What came after this stays, with what it refers to; Unix epoch, ms. */
  readonly freshAfter: number;
  /** What nothing refers to stays when it came after this; not later than `freshAfter`. */
  readonly untaggedAfter: number;
}

export interface DoomedManifest extends Doomed {
  readonly size: number;
}

/** What goes, each after what keeps it. */
export async function planManifests(
  question: ManifestQuestion,
  pace: Pace,
): Promise<DoomedManifest[]> {
  const companions = companionsOf(question);
  const dependents = await dependentsOf(question, companions, pace);
  const roots = await rootsOf(question, companions, pace);
  const kept = await closure(question, roots, dependents, pace);
  const doomed: DoomedManifest[] = [];
  for (const { digest, size, subject } of question.manifests.values()) {
    await pace();
    if (kept.has(digest)) continue;
    const isDependent = isDependentOn(question, subject) || companions.manifests.has(digest);
    doomed.push({
      digest,
      size,
      before: isDependent ? question.freshAfter : question.untaggedAfter,
      referrersBefore: question.freshAfter,
      companions: companions.tags.get(digest) ?? [],
    });
  }
  return doomed;
}

/** Tags that stand for "refers to": they keep nothing by themselves while what they name is here. */
interface Companions {
  /** By the digest they name. */
  readonly tags: ReadonlyMap<Digest, string[]>;
  /** By the digest they name, what they point at. */
  readonly targets: ReadonlyMap<Digest, Digest[]>;
  /** All that they point at. */
  readonly manifests: ReadonlySet<Digest>;
  readonly isOne: (tag: string) => boolean;
}

function companionsOf({ manifests, tags, isImmutable }: ManifestQuestion): Companions {
  const byName = new Map<Digest, string[]>();
  const targets = new Map<Digest, Digest[]>();
  const pointedAt = new Set<Digest>();
  const found = new Set<string>();
  for (const { tag, digest } of tags) {
    const named = subjectOfTag(tag);
    if (named === undefined || !manifests.has(named) || isImmutable(tag)) continue;
    found.add(tag);
    pointedAt.add(digest);
    append(byName, named, tag);
    append(targets, named, digest);
  }
  return { tags: byName, targets, manifests: pointedAt, isOne: (tag) => found.has(tag) };
}

async function dependentsOf(
  { manifests }: ManifestQuestion,
  companions: Companions,
  pace: Pace,
): Promise<ReadonlyMap<Digest, readonly Digest[]>> {
  const found = new Map<Digest, Digest[]>();
  for (const [named, targets] of companions.targets) found.set(named, [...targets]);
  for (const { digest, subject } of manifests.values()) {
    await pace();
    if (subject !== null) append(found, subject, digest);
  }
  return found;
}

async function rootsOf(
  question: ManifestQuestion,
  companions: Companions,
  pace: Pace,
): Promise<Digest[]> {
  const { tags, inUse, manifests, freshAfter, untaggedAfter } = question;
  const roots = tags.filter(({ tag }) => !companions.isOne(tag)).map(({ digest }) => digest);
  roots.push(...inUse);
  // Whoever signs a manifest now is using it: by a tag, or by its subject.
  const freshTags = tags.filter(({ updatedAt }) => updatedAt > freshAfter);
  roots.push(...freshTags.flatMap(({ tag }) => subjectOfTag(tag) ?? []));
  for (const { digest, subject, pushedAt } of manifests.values()) {
    await pace();
    const isDependent = isDependentOn(question, subject) || companions.manifests.has(digest);
    if (pushedAt > freshAfter) {
      roots.push(digest);
      if (subject !== null) roots.push(subject);
    } else if (pushedAt > untaggedAfter && !isDependent) roots.push(digest);
  }
  return roots;
}

function isDependentOn({ manifests }: ManifestQuestion, subject: Digest | null): boolean {
  return subject !== null && manifests.has(subject);
}

async function closure(
  { manifests }: ManifestQuestion,
  roots: readonly Digest[],
  dependents: ReadonlyMap<Digest, readonly Digest[]>,
  pace: Pace,
): Promise<ReadonlySet<Digest>> {
  const kept = new Set<Digest>();
  const left = [...roots];
  for (let digest = left.pop(); digest !== undefined; digest = left.pop()) {
    await pace();
    if (kept.has(digest)) continue;
    kept.add(digest);
    left.push(...(manifests.get(digest)?.children ?? []), ...(dependents.get(digest) ?? []));
  }
  return kept;
}

function append<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const found = map.get(key);
  if (found === undefined) map.set(key, [value]);
  else found.push(value);
}
