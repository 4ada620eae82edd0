// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Brings an archive's artifacts into a registry, step by step as planned. What the registry has is not
 * sent again, so that an import that broke is simply started once more.
 */

import { ProvError } from "../../base/errors.ts";
import { assertNever } from "../../base/never.ts";
import type { Digest } from "../digest.ts";
import { readManifestBytes } from "./archive-contents.ts";
import { type Archive, damaged, damageOf } from "./archive-file.ts";
import { blobName } from "./archive-plan.ts";
import type { ImportStep } from "./import-plan.ts";

/** The registry that an import fills. */
export interface ImportTarget {
  hasBlob(repository: string, digest: Digest): Promise<boolean>;
  /** Takes it from another repository of the registry. @returns false when that does not do it. */
  mountBlob(repository: string, digest: Digest, from: string): Promise<boolean>;
  /** Unless it is there. */
  pushBlob(
    repository: string,
    blob: SentBlob,
    onSent: (sent: number) => void,
  ): Promise<"pushed" | "present">;
  /** Of the manifest that a tag or digest names; undefined when there is none. */
  manifestDigest(repository: string, reference: string): Promise<Digest | undefined>;
  pushManifest(repository: string, reference: string, manifest: SentManifest): Promise<void>;
}

interface SentBlob {
  readonly digest: Digest;
  readonly size: number;
  /** Bytes from `start` to before `end`; may be called again. */
  open(start: number, end: number): Blob;
}

interface SentManifest {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly mediaType: string;
}

export interface ImportDeps {
  /** Bytes of all blobs, sent or found there. */
  onProgress(done: number, total: number): void;
  readonly signal?: AbortSignal;
}

export interface Imported {
  blobsSent: number;
  bytesSent: number;
  /** Blobs that the registry had. */
  blobsPresent: number;
  manifestsSent: number;
  tagsSet: number;
  /** Tags, among those set, that named something else before. */
  tagsMoved: number;
}

type BlobStep = Extract<ImportStep, { kind: "blob" }>;

/**
 * @throws {ProvError} `ARTIFACT_INVALID` when the archive is damaged, and what `target` throws. What
 *   was imported by then stays, without tags.
 */
export async function executeImport(
  steps: readonly ImportStep[],
  archive: Archive,
  target: ImportTarget,
  deps: ImportDeps,
): Promise<Imported> {
  const present = await requireBlobs(steps, archive, target);
  const importer = new Importer(archive, target, deps, present);
  const total = steps.reduce((sum, step) => sum + (step.kind === "blob" ? step.size : 0), 0);
  for (const step of steps) {
    deps.signal?.throwIfAborted();
    await importer.execute(step, total);
  }
  return importer.imported;
}

/**
 * Before anything is sent: every blob is in the archive with its size, or in the registry.
 * @returns those that are not in the archive.
 */
async function requireBlobs(
  steps: readonly ImportStep[],
  archive: Archive,
  target: ImportTarget,
): Promise<ReadonlySet<BlobStep>> {
  const elsewhere = new Set<BlobStep>();
  for (const step of steps) {
    if (step.kind !== "blob") continue;
    const { digest, size, repository, isForeign } = step;
    const entry = await archive.entry(blobName(digest));
    if (entry !== undefined && entry.size !== size) {
      throw damaged(archive.path, `its entry ${entry.name} has ${entry.size} bytes, not ${size}`);
    }
    if (entry !== undefined) continue;
    if (!(isForeign || (await target.hasBlob(repository, digest)))) {
      throw damaged(
        archive.path,
        `it has no ${blobName(digest)}, and neither has ${repository}`,
        "It is not whole: export it again.",
      );
    }
    elsewhere.add(step);
  }
  return elsewhere;
}

class Importer {
  readonly imported: Imported = {
    blobsSent: 0,
    bytesSent: 0,
    blobsPresent: 0,
    manifestsSent: 0,
    tagsSet: 0,
    tagsMoved: 0,
  };
  readonly #archive: Archive;
  readonly #target: ImportTarget;
  readonly #deps: ImportDeps;
  readonly #elsewhere: ReadonlySet<BlobStep>;
  #done = 0;

  constructor(
    archive: Archive,
    target: ImportTarget,
    deps: ImportDeps,
    elsewhere: ReadonlySet<BlobStep>,
  ) {
    this.#archive = archive;
    this.#target = target;
    this.#deps = deps;
    this.#elsewhere = elsewhere;
  }

  async execute(step: ImportStep, total: number): Promise<void> {
    switch (step.kind) {
      case "blob":
        await this.#blob(step, total);
        this.#done += step.size;
        this.#deps.onProgress(this.#done, total);
        return;
      case "manifest":
        await this.#manifest(step);
        return;
      case "tag":
        await this.#tag(step);
        return;
      default:
        assertNever(step);
    }
  }

  async #blob(step: BlobStep, total: number): Promise<void> {
    const isThere = this.#elsewhere.has(step) || (await this.#isNear(step));
    if (isThere || (await this.#send(step, total)) === "present") {
      this.imported.blobsPresent++;
      return;
    }
    this.imported.blobsSent++;
    this.imported.bytesSent += step.size;
  }

  /** In the repository already, or in one that this import has filled. */
  async #isNear({ repository, digest, from }: BlobStep): Promise<boolean> {
    if (from === null) return false;
    if (await this.#target.hasBlob(repository, digest)) return true;
    return await this.#target.mountBlob(repository, digest, from);
  }

  async #send(
    { repository, digest, size }: BlobStep,
    total: number,
  ): Promise<"pushed" | "present"> {
    const entry = await this.#archive.entry(blobName(digest));
    if (entry === undefined) throw damaged(this.#archive.path, `it has no ${blobName(digest)}`);
    const blob = { digest, size, open: (start: number, end: number) => entry.slice(start, end) };
    const onSent = (sent: number) => this.#deps.onProgress(this.#done + sent, total);
    try {
      return await this.#target.pushBlob(repository, blob, onSent);
    } catch (error) {
      throw await this.#explain(digest, error);
    }
  }

  /** A registry says only that the bytes are wrong; whether the archive is to blame can be seen here. */
  async #explain(digest: Digest, error: unknown): Promise<unknown> {
    if (!(error instanceof ProvError && error.code === "ARTIFACT_INVALID")) return error;
    const damage = await damageOf(this.#archive, digest);
    if (damage === undefined) return error;
    return damaged(this.#archive.path, damage, "Copy the archive again, or export it again.");
  }

  async #manifest(step: Extract<ImportStep, { kind: "manifest" }>): Promise<void> {
    const { repository, digest, mediaType } = step;
    if ((await this.#target.manifestDigest(repository, digest)) !== undefined) return;
    const bytes = await readManifestBytes(this.#archive, digest);
    await this.#target.pushManifest(repository, digest, { bytes, mediaType });
    this.imported.manifestsSent++;
  }

  async #tag(step: Extract<ImportStep, { kind: "tag" }>): Promise<void> {
    const { repository, tag, digest, mediaType } = step;
    const before = await this.#target.manifestDigest(repository, tag);
    if (before === digest) return;
    const bytes = await readManifestBytes(this.#archive, digest);
    await this.#target.pushManifest(repository, tag, { bytes, mediaType });
    this.imported.tagsSet++;
    if (before !== undefined) this.imported.tagsMoved++;
  }
}

/** A target that is asked and never changed, to see what an import would do. */
export function onlyLooking(target: ImportTarget): ImportTarget {
  return {
    hasBlob: (repository, digest) => target.hasBlob(repository, digest),
    mountBlob: () => Promise.resolve(true),
    pushBlob: async (repository, { digest }) =>
      (await target.hasBlob(repository, digest)) ? "present" : "pushed",
    manifestDigest: (repository, reference) => target.manifestDigest(repository, reference),
    pushManifest: () => Promise.resolve(),
  };
}
