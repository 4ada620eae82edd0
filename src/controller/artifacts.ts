// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import type { EnvelopeArtifact } from "../jobs/envelope.ts";
import { parseReference } from "../registry/reference.ts";
import type { ControllerDeps } from "./ports.ts";

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
