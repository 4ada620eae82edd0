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

/** An index of more is nobody's artifact. */
const MANIFESTS_MAX = 1000;

/** Digests of all that a manifest names: configuration, layers, and the same of manifests in an index. */
async function contentOf(
  repository: string,
  digest: string,
  registry: ControllerDeps["registry"],
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const manifests = new Set([digest]);
  // What is added meanwhile has its turn as well, and once, however often it is named.
  for (const each of manifests) {
    const manifest = await manifestOf(repository, each, registry);
    const blobs = [...arrayAt(manifest, "layers"), ...arrayAt(manifest, "blobs")];
    for (const name of digestsOf([at(manifest, "config"), ...blobs])) found.add(name);
    for (const name of digestsOf(arrayAt(manifest, "manifests"))) {
      found.add(name);
      if (manifests.size < MANIFESTS_MAX) manifests.add(name);
    }
  }
  return found;
}

const digestsOf = (descriptors: readonly unknown[]): string[] =>
  descriptors.flatMap((descriptor) => stringAt(descriptor, "digest") ?? []);

/** @returns undefined for one that is not here. */
async function manifestOf(
  repository: string,
  digest: string,
  registry: ControllerDeps["registry"],
): Promise<unknown> {
  const request = new Request(`http://registry.invalid/v2/${repository}/manifests/${digest}`);
  const response = await registry.handle(request, { identity: "controller", may: () => true });
  if (response.status === 503) {
    // A mirror could not look: the agent asks again, where a refusal would end its job.
    throw new ProvError(`Cannot look into ${repository}@${digest}`, {
      code: "REGISTRY_UNREACHABLE",
      hint: "Check that the upstream registry is up and reachable.",
    });
  }
  return response.ok ? await response.json() : undefined;
}
