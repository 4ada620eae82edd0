// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * An import as a list of steps: a pure function of an archive's manifests. The blobs of a manifest come
 * right before it, so that none waits for long while the registry collects its garbage; children come
 * before their index, and the tags of everything last.
 */
import type { Digest } from "../digest.ts";
import type { Descriptor } from "../manifest.ts";
import { fits } from "../policy/policy.ts";
import type { Contents } from "./archive-contents.ts";
import {
  type Artifact,
  blobsOf,
  isManifestType,
  nameOfArtifact,
  subjectOfTag,
} from "./archive-index.ts";

export type ImportStep =
  | {
      readonly kind: "blob";
      readonly repository: string;
      readonly digest: Digest;
      readonly size: number;
      /** A repository that has got it earlier in this import. */
      readonly from: string | null;
      /** True when the bytes may live elsewhere: then the archive need not have them. */
      readonly isForeign: boolean;
    }
  | {
      readonly kind: "manifest";
      readonly repository: string;
      readonly digest: Digest;
      readonly mediaType: string;
    }
  | {
      readonly kind: "tag";
      readonly repository: string;
      readonly tag: string;
      readonly digest: Digest;
      readonly mediaType: string;
    };

type Manifests = Contents["manifests"];

/**
 * The artifacts that any of the globs fits, by repository or `repository:tag`, and what refers to them.
 * @param only null: all of them.
 */
export function selectArtifacts(
  artifacts: readonly Artifact[],
  manifests: Manifests,
  only: readonly string[] | null,
): readonly Artifact[] {
  if (only === null) return artifacts;
  const bySubject = Map.groupBy(artifacts, (artifact) => subjectKey(artifact, manifests));
  const selected = new Set(
    artifacts.filter((artifact) =>
      only.some((glob) => fits(glob, artifact.repository) || fits(glob, nameOfArtifact(artifact))),
    ),
  );
  const seen = new Set<string>();
  const left: Pick<Artifact, "repository" | "digest">[] = [...selected];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { repository, digest } = next;
    const key = keyOf(repository, digest);
    if (seen.has(key)) continue;
    seen.add(key);
    const children = manifests.get(digest)?.manifest.manifests ?? [];
    left.push(...children.map((child) => ({ repository, digest: child.digest })));
    for (const referrer of bySubject.get(key) ?? []) {
      selected.add(referrer);
      left.push(referrer);
    }
  }
  return artifacts.filter((artifact) => selected.has(artifact));
}

const keyOf = (repository: string, digest: Digest) => `${repository} ${digest}`;

/** What an artifact refers to, by its manifest or by its tag. */
function subjectKey({ repository, tag, digest }: Artifact, manifests: Manifests) {
  const told = tag === null ? undefined : subjectOfTag(tag);
  const subject = manifests.get(digest)?.manifest.subject?.digest ?? told;
  return subject === undefined ? undefined : keyOf(repository, subject);
}

export function planImport(
  artifacts: readonly Artifact[],
  manifests: Manifests,
): readonly ImportStep[] {
  const planner = new Planner(manifests);
  for (const artifact of artifacts) planner.add(artifact.repository, artifact);
  const tags = artifacts.flatMap(({ repository, tag, digest, mediaType }): ImportStep[] =>
    tag === null ? [] : [{ kind: "tag", repository, tag, digest, mediaType }],
  );
  return [...planner.steps, ...tags];
}

class Planner {
  readonly steps: ImportStep[] = [];
  readonly #manifests: Manifests;
  readonly #planned = new Set<string>();
  /** Who got a blob first. */
  readonly #homes = new Map<Digest, string>();

  constructor(manifests: Manifests) {
    this.#manifests = manifests;
  }

  add(repository: string, { digest }: Pick<Descriptor, "digest">): void {
    const found = this.#manifests.get(digest);
    if (found === undefined || !this.#isNew("manifest", repository, digest)) return;
    const { manifest } = found;
    const isBlob = (child: Descriptor) =>
      !(isManifestType(child.mediaType) || this.#manifests.has(child.digest));
    for (const child of manifest.manifests) if (!isBlob(child)) this.add(repository, child);
    const blobs = [...blobsOf(manifest), ...manifest.manifests.filter(isBlob)];
    // The largest first: the time for which the others wait for the manifest is short.
    for (const blob of blobs.sort((a, b) => b.size - a.size)) this.#addBlob(repository, blob);
    this.steps.push({ kind: "manifest", repository, digest, mediaType: manifest.mediaType });
  }

  #addBlob(repository: string, { digest, size, isForeign }: Descriptor): void {
    if (!this.#isNew("blob", repository, digest)) return;
    const from = this.#homes.get(digest) ?? null;
    if (from === null) this.#homes.set(digest, repository);
    this.steps.push({ kind: "blob", repository, digest, size, from, isForeign });
  }

  #isNew(kind: ImportStep["kind"], repository: string, digest: Digest): boolean {
    const key = `${kind} ${repository} ${digest}`;
    const isNew = !this.#planned.has(key);
    this.#planned.add(key);
    return isNew;
  }
}
