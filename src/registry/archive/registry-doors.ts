// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A registry as exports and imports use it, made of the client's primitives.
 */
import { ProvError } from "../../base/errors.ts";
import { arrayAt, stringAt } from "../../base/json.ts";
import { type Ask, converse } from "../client/conversation.ts";
import { fetchManifest, pushManifest } from "../client/manifest-transfer.ts";
import { createPatience, patiently, type Verb } from "../client/patience.ts";
import { openBlob } from "../client/pull.ts";
import { hasBlob, pushBlob, type UploadMemory } from "../client/push-blob.ts";
import type { ClientDeps, Remote } from "../client/remote.ts";
import { parseDigest } from "../digest.ts";
import { MEDIA_TYPE } from "../manifest.ts";
import type { ExportSource } from "./collect.ts";
import type { ImportTarget } from "./import-archive.ts";
import type { WriteDeps } from "./write-archive.ts";

export interface DoorDeps extends ClientDeps {
  readonly signal?: AbortSignal;
  /** Lets an import go on with an upload that an earlier one had begun. */
  readonly memory?: UploadMemory;
}

type Site = Omit<Remote, "repository">;

const ACCEPT = Object.values(MEDIA_TYPE).join(", ");

export function exportSource(
  site: Site,
  deps: DoorDeps,
): ExportSource & Pick<WriteDeps, "fetchBlob"> {
  const at = (repository: string): Remote => ({ ...site, repository });
  return {
    tags: (repository) => listTags(at(repository), deps),
    async manifest(repository, reference) {
      try {
        return await fetchManifest(at(repository), reference, deps, deps.signal);
      } catch (error) {
        if (error instanceof ProvError && error.code === "ARTIFACT_NOT_FOUND") return undefined;
        throw error;
      }
    },
    async referrers(repository, digest) {
      const ask = { path: `referrers/${digest}`, subject: "the referrers", expect: [404] };
      const { document } = await askJson(at(repository), ask, deps);
      return arrayAt(document, "manifests").flatMap((descriptor) => {
        const found = parseDigest(stringAt(descriptor, "digest") ?? "");
        return found === undefined ? [] : [found];
      });
    },
    hasBlob: (repository, digest) => hasBlob(at(repository), digest, deps),
    fetchBlob: ({ digest, size, repository }, have) =>
      openBlob(at(repository), { digest, size, have }, deps, deps.signal),
  };
}

export function importTarget(site: Site, deps: DoorDeps): ImportTarget {
  const at = (repository: string): Remote => ({ ...site, repository });
  return {
    hasBlob: (repository, digest) => hasBlob(at(repository), digest, deps),
    async mountBlob(repository, digest, from) {
      const query = new URLSearchParams({ mount: digest, from });
      const path = `blobs/uploads/?${query}`;
      const response = await askOnce(at(repository), "push", deps, {
        ...{ method: "POST", path, subject: `the repository ${repository}` },
        headers: { "content-length": "0" },
      });
      if (response.status === 201) return true;
      const location = response.headers.get("location");
      if (location !== null) await giveUp(at(repository), location, deps);
      return false;
    },
    pushBlob: (repository, blob, onSent) =>
      pushBlob(at(repository), blob, { ...deps, onProgress: onSent }),
    async manifestDigest(repository, reference) {
      const response = await askOnce(at(repository), "push", deps, {
        ...{ method: "HEAD", path: `manifests/${reference}`, subject: reference },
        // 503 of a mirror whose upstream is away, which is when archives are imported: then it is sent.
        ...{ headers: { accept: ACCEPT }, expect: [404, 503] },
      });
      return parseDigest(response.headers.get("docker-content-digest") ?? "");
    },
    async pushManifest(repository, reference, manifest) {
      await pushManifest(at(repository), reference, manifest, deps, deps.signal);
    },
  };
}

/** All tags, page by page (distribution-spec end-8). */
async function listTags(remote: Remote, deps: DoorDeps): Promise<readonly string[]> {
  const tags: string[] = [];
  let path: string | undefined = "tags/list";
  while (path !== undefined) {
    const ask: Ask = { path, subject: `the repository ${remote.repository}`, expect: [404] };
    const { document, next } = await askJson(remote, ask, deps);
    tags.push(...arrayAt(document, "tags").filter((tag) => typeof tag === "string"));
    path = next;
  }
  return tags;
}

async function askJson(
  remote: Remote,
  ask: Ask,
  deps: DoorDeps,
): Promise<{ document: unknown; next: string | undefined }> {
  const response = await askOnce(remote, "pull", deps, ask);
  if (!response.ok) return { document: undefined, next: undefined };
  const document: unknown = await response.json();
  // RFC 8288; relative to where it was asked.
  const [, link] = /<([^>]+)>\s*;\s*rel="?next"?/.exec(response.headers.get("link") ?? "") ?? [];
  return { document, next: link && new URL(link, `${remote.registry}/`).href };
}

/** One request, patiently; of an answer without use the body is given up. */
async function askOnce(remote: Remote, verb: Verb, deps: DoorDeps, ask: Ask): Promise<Response> {
  const talk = converse(remote, verb, deps);
  const patience = createPatience(deps, verb, remote.repository, deps.signal);
  const response = await patiently(patience, () => talk.ask({ ...ask, signal: deps.signal }));
  if (ask.method !== undefined) await response.body?.cancel();
  return response;
}

/** An upload that a mount turned into. A registry that will not hear of it forgets it by itself. */
async function giveUp(remote: Remote, location: string, deps: DoorDeps): Promise<void> {
  const path = new URL(location, `${remote.registry}/`).href;
  const ask: Ask = { method: "DELETE", path, subject: "the upload", expect: [404, 405] };
  await askOnce(remote, "push", deps, ask);
}
