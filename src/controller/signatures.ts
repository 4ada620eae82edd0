// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import type { EnvelopeArtifact } from "../jobs/envelope.ts";
import { parseDigest } from "../registry/digest.ts";
import { ruleFor } from "../registry/policy/policy.ts";
import { nameKeys } from "../registry/signatures/claim.ts";
import { describeRejected } from "../registry/signatures/verify.ts";
import type { ControllerDeps } from "./ports.ts";

/**
 * Makes sure that an artifact is signed as the registry's policy demands, before a job gets it. It is the
 * digest that is verified, and by that digest the agent pulls.
 *
 * @returns the names of the keys that signed it; none where none has to.
 * @throws {ProvError} `ARTIFACT_UNSIGNED`
 */
export async function requireSigned(
  artifact: EnvelopeArtifact,
  registry: Pick<ControllerDeps["registry"], "policy" | "verify">,
): Promise<readonly string[]> {
  const { keys } = registry.policy();
  if (artifact.registry !== null) {
    requireNone(artifact, artifact.registry, registry);
    return [];
  }
  const names = demanded(artifact.repository, registry);
  const digest = parseDigest(artifact.digest ?? "");
  if (names.length === 0) return [];
  if (digest === undefined) throw new TypeError("An artifact of our own is pinned by its digest");
  const wanted = Object.fromEntries(names.map((name) => [name, keys[name] ?? ""]));
  const { signedBy, rejected } = await registry.verify(artifact.repository, digest, wanted);
  if (signedBy.length > 0) return signedBy;
  const name = `${artifact.repository}@${digest}`;
  throw new ProvError(
    `Cannot use ${name}: it must be signed by ${nameKeys(names)}, and ${describeRejected(rejected)}`,
    {
      code: "ARTIFACT_UNSIGNED",
      hint: `Sign it with \`prov artifact sign ${name} --key=FILE\`, or change "signed_by" in the registry's policy.`,
    },
  );
}

/**
 * What lies in another registry is out of the controller's sight. A rule speaks of it by its name there, with
 * or without the host before it.
 */
function requireNone(
  { repository, reference }: EnvelopeArtifact,
  url: string,
  registry: Pick<ControllerDeps["registry"], "policy">,
): void {
  const { hostname, host } = new URL(url);
  const names = [repository, `${hostname}/${repository}`].flatMap((n) => demanded(n, registry));
  if (names.length === 0) return;
  throw new ProvError(
    `Cannot use ${host}/${repository}:${reference}: artifacts of this name must be signed, and those of another registry cannot be verified here`,
    {
      code: "ARTIFACT_UNSIGNED",
      hint: "Copy it and its signatures into this registry, and name it there.",
    },
  );
}

function demanded(
  repository: string,
  registry: Pick<ControllerDeps["registry"], "policy">,
): readonly string[] {
  return ruleFor(registry.policy(), repository).signedBy;
}
