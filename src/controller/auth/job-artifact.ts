// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { arrayAt, at, stringAt } from "../../base/json.ts";
import { type Envelope, parseEnvelope } from "../../jobs/envelope.ts";
import type { Job } from "../../jobs/job.ts";
import type { ControllerDeps } from "../ports.ts";

const CONTENT = /^\/v2\/(?<repository>.+)\/(?:manifests|blobs)\/(?<reference>[^/]+)$/;

/** Whether the path is of the job's artifact, or of something it is made of, by digest. */
export async function mayJobPull(job: Job, path: string, deps: ControllerDeps): Promise<boolean> {
  const wanted = CONTENT.exec(path)?.groups;
  const payload = await deps.store.jobs.payload(job.id);
  if (wanted === undefined || payload?.envelopeText == null) return false;
  const { artifact }: Envelope = parseEnvelope(payload.envelopeText);
  if (artifact === null || artifact.registry !== null || artifact.digest === null) return false;
  const { repository, reference: text = "" } = wanted;
  if (repository !== artifact.repository) return false;
  const reference = text.replace(/%3a/i, ":");
  if (reference === artifact.digest) return true;
  return (await contentOf(artifact.repository, artifact.digest, deps.registry)).has(reference);
}

/** An index of indexes deeper than this is nobody's artifact. */
const DEPTH_MAX = 3;

/** Digests of all that a manifest names: configuration, layers, and the same of manifests in an index. */
async function contentOf(
  repository: string,
  digest: string,
  registry: ControllerDeps["registry"],
  depth = 0,
): Promise<ReadonlySet<string>> {
  const request = new Request(`http://registry.invalid/v2/${repository}/manifests/${digest}`);
  const response = await registry.handle(request, { identity: "controller", may: () => true });
  const found = new Set<string>();
  if (response.status === 503) {
    // A mirror could not look: the agent asks again, where a refusal would end its job.
    throw new ProvError(`Cannot look into ${repository}@${digest}`, {
      code: "REGISTRY_UNREACHABLE",
      hint: "Check that the upstream registry is up and reachable.",
    });
  }
  if (!response.ok) return found;
  const manifest: unknown = await response.json();
  const named = [
    at(manifest, "config"),
    ...arrayAt(manifest, "layers"),
    ...arrayAt(manifest, "blobs"),
  ];
  for (const descriptor of named) {
    const name = stringAt(descriptor, "digest");
    if (name !== undefined) found.add(name);
  }
  for (const child of arrayAt(manifest, "manifests")) {
    const name = stringAt(child, "digest");
    if (name === undefined || depth >= DEPTH_MAX) continue;
    found.add(name);
    for (const inner of await contentOf(repository, name, registry, depth + 1)) found.add(inner);
  }
  return found;
}
