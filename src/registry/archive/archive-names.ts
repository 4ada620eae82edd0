// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Under which names an archive's manifests come into a registry. prov's own archives say everything;
 * those of other tools leave some or all of it to `--into`.
 */
import { ProvError } from "../../base/errors.ts";
import type { Descriptor } from "../manifest.ts";
import { isRepository, isTag } from "../reference.ts";
import { ANNOTATION } from "../storage/layout.ts";
import type { ArchivedManifest, ArchiveIndex, Contents } from "./archive-contents.ts";
import { type Artifact, nameOfArtifact, parseArchiveName } from "./archive-index.ts";

/** Where an import goes: before the archive's repositories, or instead of missing ones. */
export interface Into {
  readonly repository: string;
  /** For what has no name of its own. */
  readonly tag: string | null;
}

/** Reads `REPOSITORY[:TAG]`. @throws {ProvError} `USAGE` */
export function parseInto(text: string): Into {
  const [repository = "", tag, ...more] = text.split(":");
  if (isRepository(repository) && (tag === undefined || isTag(tag)) && more.length === 0) {
    return { repository, tag: tag ?? null };
  }
  throw new ProvError(`Cannot import into "${text}": it is no repository`, {
    code: "USAGE",
    hint: "Write it as REPOSITORY or REPOSITORY:TAG, for example mirror or os-images/debian:13.",
  });
}

type Names = Pick<ArchiveIndex, "descriptors"> & Pick<Contents, "manifests">;

/**
 * Names every manifest of the index: by its own name, after the one it refers to, or by `into`.
 * Children of indexes need none.
 *
 * @throws {SyntaxError} for a name that is none, or given twice.
 * @throws {ProvError} `USAGE` when something has no name and `into` gives none.
 */
export function nameArtifacts(contents: Names, into: Into | null): readonly Artifact[] {
  const named: Artifact[] = [];
  const nameless: Descriptor[] = [];
  for (const descriptor of contents.descriptors) {
    const text = descriptor.annotations[ANNOTATION.tag];
    if (text === undefined) nameless.push(descriptor);
    else named.push(nameOne(text, artifactOf(descriptor), into));
  }
  named.push(...nameRest(nameless, named, contents, into));
  return unique(named);
}

function nameOne(text: string, artifact: Unnamed, into: Into | null): Artifact {
  const { repository, tag } = parseArchiveName(text);
  if (repository !== null) {
    const whole = into === null ? repository : `${into.repository}/${repository}`;
    return { ...artifact, repository: whole, tag };
  }
  if (into !== null) return { ...artifact, repository: into.repository, tag };
  throw new ProvError(`Cannot import "${text}": the archive names no repository for it`, {
    code: "USAGE",
    hint: "Say where it goes: --into=REPOSITORY",
  });
}

type Unnamed = Omit<Artifact, "repository" | "tag">;

function artifactOf({ digest, mediaType, size }: Descriptor): Unnamed {
  return { digest, mediaType, size };
}

function nameRest(
  nameless: readonly Descriptor[],
  named: readonly Artifact[],
  contents: Names,
  into: Into | null,
): readonly Artifact[] {
  const { manifests } = contents;
  const children = new Set(
    [...manifests.values()].flatMap(({ manifest }) => manifest.manifests.map((d) => d.digest)),
  );
  const isOwn = ({ digest }: Descriptor) =>
    !(children.has(digest) || isReferrer(manifests.get(digest), manifests));
  const roots = nameless.filter(isOwn);
  if (roots.length > 0 && into === null) {
    throw new ProvError(`Cannot import ${roots[0]?.digest}: the archive has no name for it`, {
      code: "USAGE",
      hint: "Say where it goes: --into=REPOSITORY:TAG",
    });
  }
  if (roots.length > 1 && into !== null && into.tag !== null) {
    throw new ProvError(`Cannot tag ${roots.length} artifacts as "${into.tag}"`, {
      code: "USAGE",
      hint: "Give --into a repository without a tag: they are known by their digests then.",
    });
  }
  const rooted = roots.map((descriptor) => ({
    ...artifactOf(descriptor),
    repository: into?.repository ?? "",
    tag: into?.tag ?? null,
  }));
  const referrers = nameless.filter((descriptor) => !isOwn(descriptor));
  return [...rooted, ...followSubjects(referrers, [...named, ...rooted], contents)];
}

function isReferrer(found: ArchivedManifest | undefined, manifests: Names["manifests"]): boolean {
  const subject = found?.manifest.subject;
  return subject !== undefined && manifests.has(subject.digest);
}

/** What refers to a manifest goes where that goes, and so on. Children among them get no name. */
function followSubjects(
  referrers: readonly Descriptor[],
  named: readonly Artifact[],
  { manifests }: Names,
): readonly Artifact[] {
  const bySubject = Map.groupBy(
    referrers,
    ({ digest }) => manifests.get(digest)?.manifest.subject?.digest,
  );
  const added: Artifact[] = [];
  const seen = new Set<string>();
  const left: Pick<Artifact, "repository" | "digest">[] = [...named];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { repository, digest } = next;
    const key = `${repository} ${digest}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const children = manifests.get(digest)?.manifest.manifests ?? [];
    left.push(...children.map((child) => ({ repository, digest: child.digest })));
    const found = (bySubject.get(digest) ?? []).map((descriptor) => ({
      ...artifactOf(descriptor),
      ...{ repository, tag: null },
    }));
    added.push(...found);
    left.push(...found);
  }
  return added;
}

function unique(artifacts: readonly Artifact[]): readonly Artifact[] {
  const byName = new Map<string, Artifact>();
  for (const artifact of artifacts) {
    const name = nameOfArtifact(artifact);
    const known = byName.get(name);
    if (known !== undefined && known.digest !== artifact.digest) {
      throw new SyntaxError(`it has two artifacts "${name}"`);
    }
    byName.set(name, artifact);
  }
  return [...byName.values()];
}
