// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import { type EnvelopeArtifact, parseEnvelope } from "../jobs/envelope.ts";
import type { Job } from "../jobs/job.ts";
import { STATUSES } from "../jobs/lifecycle.ts";
import { type Digest, parseDigest } from "../registry/digest.ts";
import type { InUse } from "../registry/housekeeping/collect.ts";
import { parseReference } from "../registry/reference.ts";
import type { Page } from "../store/store.ts";
import type { ControllerDeps } from "./ports.ts";
import { readRecipe } from "./recipes.ts";

/**
 * Finds out what an `oci_url` stands for. In our own registry that is a digest, which pins the artifact for
 * the whole job; another registry is asked by the agent, who has the network for it.
 *
 * @param publicUrls our own base URLs: an `oci_url` with one of their hosts means us.
 * @throws {ProvError} `ARTIFACT_INVALID`, `ARTIFACT_NOT_FOUND`
 */
export async function resolveArtifact(
  ociUrl: string,
  publicUrls: readonly string[],
  registry: ControllerDeps["registry"],
): Promise<EnvelopeArtifact> {
  const parsed = parseReference(ociUrl);
  const { repository, reference } = parsed;
  if (parsed.registry !== null && !isOurs(parsed.registry, publicUrls)) {
    return {
      registry: `https://${parsed.registry}`,
      repository,
      reference,
      digest: parsed.digest,
    };
  }
  const found = await registry.resolve(repository, reference);
  const name = `${repository}${parsed.digest === null ? ":" : "@"}${reference}`;
  if (found === undefined) {
    throw new ProvError(`Cannot find the artifact ${name} in this registry`, {
      code: "ARTIFACT_NOT_FOUND",
      hint: "Push it first with `prov artifact push`, or correct oci_url.",
    });
  }
  if (found.missing.length > 0) {
    throw new ProvError(
      `Cannot use the artifact ${name}: ${found.missing.length} of its blobs are not in this registry`,
      {
        code: "ARTIFACT_INVALID",
        hint: "Push it again: the tool that pushed it has stopped halfway, or left them out.",
      },
    );
  }
  return { registry: null, repository, reference, digest: found.digest };
}

function isOurs(host: string, publicUrls: readonly string[]): boolean {
  return publicUrls.some((url) => new URL(url).host === host.toLowerCase());
}

const ACTIVE = STATUSES.filter((status) => status !== "complete");
const PAGE = 100;

/**
 * The manifests of our own registry that jobs need until they are complete, by repository: the one that
 * an envelope pins, or the one that a job which has not begun would get now.
 */
export async function artifactsInUse(
  publicUrls: readonly string[],
  deps: Pick<ControllerDeps, "store" | "registry">,
): Promise<InUse> {
  const found = new Map<string, Set<Digest>>();
  for (const status of ACTIVE) {
    let cursor: string | null | undefined;
    while (cursor !== null) {
      const page: Page<Job> = await deps.store.jobs.list({
        status,
        limit: PAGE,
        ...(cursor !== undefined && { cursor }),
      });
      for (const { id } of page.items) {
        const artifact = await artifactOf(id, publicUrls, deps);
        const digest = parseDigest(artifact?.digest ?? "");
        if (artifact == null || artifact.registry !== null || digest === undefined) continue;
        const { repository } = artifact;
        found.set(repository, (found.get(repository) ?? new Set<Digest>()).add(digest));
      }
      cursor = page.cursor;
    }
  }
  return found;
}

async function artifactOf(
  jobId: string,
  publicUrls: readonly string[],
  { store, registry }: Pick<ControllerDeps, "store" | "registry">,
): Promise<EnvelopeArtifact | null> {
  const payload = await store.jobs.payload(jobId);
  if (payload === undefined) return null;
  if (payload.envelopeText !== null) return parseEnvelope(payload.envelopeText).artifact;
  const read = readRecipe(payload.recipeText);
  if (read.kind === "invalid" || read.recipe.ociUrl === null) return null;
  try {
    return await resolveArtifact(read.recipe.ociUrl, publicUrls, registry);
  } catch (error) {
    if (error instanceof ProvError) return null;
    throw error;
  }
}
