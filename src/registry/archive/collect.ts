// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What an export takes along: from names to everything that they lead to in the registry.
 */
import { ProvError } from "../../base/errors.ts";
import type { Digest } from "../digest.ts";
import { type Manifest, parseManifest } from "../manifest.ts";
import { type Artifact, blobsOf, isManifestType, subjectOfTag } from "./archive-index.ts";

/** Where an export reads from. */
export interface ExportSource {
  tags(repository: string): Promise<readonly string[]>;
  /** Verified. @returns undefined when there is none. */
  manifest(repository: string, reference: string): Promise<SourceManifest | undefined>;
  /** Digests of the manifests whose subject it is. */
  referrers(repository: string, digest: Digest): Promise<readonly Digest[]>;
  hasBlob(repository: string, digest: Digest): Promise<boolean>;
}

interface SourceManifest {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly digest: Digest;
  /** What it was served as; null when that was not said. */
  readonly contentType: string | null;
}

/** One name: a tag, or a digest. */
export interface Wanted {
  readonly repository: string;
  readonly reference: string;
}

export interface Collection {
  readonly artifacts: readonly Artifact[];
  readonly manifests: ReadonlyMap<Digest, Uint8Array<ArrayBuffer>>;
  /** With a repository that has it. */
  readonly blobs: ReadonlyMap<Digest, { readonly size: number; readonly repository: string }>;
  /** Children of indexes that the registry does not have (a sparse index is valid without them). */
  readonly absent: readonly Digest[];
}

/** A manifest to look at, and how it gets into the index: not at all when another one leads to it. */
interface Visit extends Wanted {
  readonly as: "tag" | "digest" | "child";
}

/** Requests in flight. */
const AT_ONCE = 8;

/**
 * @param withReferrers takes along what refers to a manifest, and to that: signatures, SBOMs.
 * @throws {ProvError} `ARTIFACT_NOT_FOUND`, `ARTIFACT_INVALID`, and what `source` throws.
 */
export async function collect(
  wanted: readonly Wanted[],
  source: ExportSource,
  withReferrers: boolean,
): Promise<Collection> {
  const collector = new Collector(source, withReferrers);
  let wave: readonly Visit[] = wanted.map((each) => ({
    ...each,
    as: each.reference.includes(":") ? "digest" : "tag",
  }));
  while (wave.length > 0) {
    const next: Visit[] = [];
    for (let i = 0; i < wave.length; i += AT_ONCE) {
      const found = await Promise.all(wave.slice(i, i + AT_ONCE).map((v) => collector.visit(v)));
      next.push(...found.flat());
    }
    wave = next;
  }
  return collector.collection();
}

class Collector {
  readonly #source: ExportSource;
  readonly #withReferrers: boolean;
  readonly #seen = new Set<string>();
  readonly #tags = new Map<string, Promise<readonly string[]>>();
  readonly #artifacts = new Map<string, Artifact>();
  readonly #manifests = new Map<Digest, Uint8Array<ArrayBuffer>>();
  readonly #blobs = new Map<Digest, { size: number; repository: string }>();
  readonly #absent = new Set<Digest>();

  constructor(source: ExportSource, withReferrers: boolean) {
    this.#source = source;
    this.#withReferrers = withReferrers;
  }

  collection(): Collection {
    return {
      artifacts: withoutDoubles([...this.#artifacts.values()]),
      manifests: this.#manifests,
      blobs: this.#blobs,
      absent: [...this.#absent],
    };
  }

  /** @returns what it leads to. */
  async visit(visit: Visit): Promise<readonly Visit[]> {
    const { repository, reference, as } = visit;
    if (!this.#isNew(`${as} ${repository} ${reference}`)) return [];
    const found = await this.#source.manifest(repository, reference);
    if (found === undefined) {
      if (as === "child") this.#absent.add(reference as Digest);
      else throw notFound(visit);
      return [];
    }
    const { digest, bytes } = found;
    const manifest = read(visit, found);
    if (as !== "child") this.#name(visit, digest, manifest, bytes.byteLength);
    if (!this.#isNew(`${repository} ${digest}`)) return [];
    this.#manifests.set(digest, bytes);
    await this.#takeBlobs(repository, manifest);
    const children = await this.#children(repository, manifest);
    return this.#withReferrers
      ? [...children, ...(await this.#referrers(repository, digest))]
      : children;
  }

  #isNew(key: string): boolean {
    const isNew = !this.#seen.has(key);
    this.#seen.add(key);
    return isNew;
  }

  #name({ repository, reference, as }: Visit, digest: Digest, manifest: Manifest, size: number) {
    const { mediaType } = manifest;
    const tag = as === "tag" ? reference : null;
    const key = `${repository} ${tag ?? digest}`;
    this.#artifacts.set(key, { repository, tag, digest, mediaType, size });
  }

  async #takeBlobs(repository: string, manifest: Manifest): Promise<void> {
    for (const { digest, size, isForeign } of blobsOf(manifest)) {
      const known = this.#blobs.get(digest);
      if (known === undefined) {
        if (isForeign && !(await this.#source.hasBlob(repository, digest))) continue;
        this.#blobs.set(digest, { size, repository });
      } else if (known.size !== size) {
        throw new ProvError(
          `Cannot export ${repository}: ${digest} has ${known.size} bytes in one manifest and ${size} in another`,
          { code: "ARTIFACT_INVALID" },
        );
      }
    }
  }

  async #children(repository: string, manifest: Manifest): Promise<readonly Visit[]> {
    const visits: Visit[] = [];
    for (const { mediaType, digest, size } of manifest.manifests) {
      // Build caches list their layers as if they were manifests.
      const isBlob = !isManifestType(mediaType) && (await this.#source.hasBlob(repository, digest));
      if (isBlob) this.#blobs.set(digest, { size, repository });
      else {
        const as = isManifestType(mediaType) ? "child" : "digest";
        visits.push({ repository, reference: digest, as });
      }
    }
    return visits;
  }

  async #referrers(repository: string, digest: Digest): Promise<readonly Visit[]> {
    const referrers = await this.#source.referrers(repository, digest);
    let tags = this.#tags.get(repository);
    if (tags === undefined) {
      tags = this.#source.tags(repository);
      this.#tags.set(repository, tags);
    }
    return [
      ...referrers.map((reference): Visit => ({ repository, reference, as: "digest" })),
      ...(await tags)
        .filter((tag) => subjectOfTag(tag) === digest)
        .map((reference): Visit => ({ repository, reference, as: "tag" })),
    ];
  }
}

/** What refers to something may have a tag, and is named by that then. */
function withoutDoubles(artifacts: readonly Artifact[]): readonly Artifact[] {
  const key = ({ repository, digest }: Artifact) => `${repository} ${digest}`;
  const tagged = new Set(artifacts.filter(({ tag }) => tag !== null).map(key));
  return artifacts.filter((artifact) => artifact.tag !== null || !tagged.has(key(artifact)));
}

function read(visit: Wanted, { bytes, contentType }: SourceManifest): Manifest {
  try {
    return parseManifest(bytes, contentType);
  } catch (cause) {
    throw new ProvError(`Cannot export ${nameOf(visit)}: its manifest is not valid`, {
      code: "ARTIFACT_INVALID",
      cause,
    });
  }
}

function notFound(visit: Wanted): ProvError {
  return new ProvError(`Cannot export ${nameOf(visit)}: it is not there`, {
    code: "ARTIFACT_NOT_FOUND",
    hint: "`prov artifact list` shows what there is.",
  });
}

const nameOf = ({ repository, reference }: Wanted) =>
  `${repository}${reference.includes(":") ? "@" : ":"}${reference}`;
