// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The life of a repository's worth of content, as a client sees it: pushed in every way, listed,
 * looked at, pulled, referred to and deleted. What must hold at each step is asserted here.
 */
import { expect } from "bun:test";
import type { Digest } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import type { Content, Descriptor, MadeManifest } from "./content.ts";
import { type Ask, locationOf, WAYS } from "./pushing.ts";

interface Walk {
  readonly ask: Ask;
  readonly repository: string;
  readonly content: Content;
  readonly hasTagParameters: boolean;
}

export async function walk(walk: Walk): Promise<void> {
  await pushBlobs(walk);
  for (const manifest of walk.content.manifests) await pushByDigest(walk, manifest);
  if (!walk.hasTagParameters) {
    for (const manifest of walk.content.manifests) await pushByTag(walk, manifest);
  }
  await listTags(walk);
  await pull(walk);
  await listReferrers(walk);
  await removeAll(walk);
}

async function pushBlobs({ ask, repository, content }: Walk): Promise<void> {
  const ways = Object.values(WAYS);
  for (const [i, [digest, bytes]] of [...content.blobs].entries()) {
    const pushed = await ways[i % ways.length]?.(ask, repository, bytes, digest);
    expect(pushed?.status).toBe(201);
    expect(pushed?.headers.get("docker-content-digest")).toBe(digest);
    const there = pushed && (await ask("GET", locationOf(pushed)));
    expect(there?.status).toBe(200);
    expect(await there?.bytes()).toEqual(bytes);
  }
}

async function pushByDigest(
  { ask, repository, hasTagParameters }: Walk,
  manifest: MadeManifest,
): Promise<void> {
  const { digest } = manifest.descriptor;
  const tags = hasTagParameters ? manifest.tags : [];
  const query = tags.map((tag) => `tag=${tag}`).join("&");
  const put = await ask("PUT", `${repository}/manifests/${digest}?${query}`, bodyOf(manifest));
  await expectPushed(ask, put, manifest);
  const shown = put.headers.get("oci-tag")?.split(",") ?? [];
  expect(shown.map((tag) => tag.trim())).toEqual([...tags]);
}

async function pushByTag({ ask, repository }: Walk, manifest: MadeManifest): Promise<void> {
  // What has a digest of another algorithm can only be pushed by it.
  for (const tag of manifest.descriptor.digest.startsWith("sha256") ? manifest.tags : []) {
    const put = await ask("PUT", `${repository}/manifests/${tag}`, bodyOf(manifest));
    await expectPushed(ask, put, manifest);
  }
}

function bodyOf({ text, descriptor }: MadeManifest): RequestInit {
  return { body: text, headers: { "content-type": descriptor.mediaType } };
}

async function expectPushed(ask: Ask, put: Response, manifest: MadeManifest): Promise<void> {
  expect(put.status).toBe(201);
  expect(put.headers.get("docker-content-digest")).toBe(manifest.descriptor.digest);
  expect(put.headers.get("oci-subject")).toBe(manifest.subject?.digest ?? null);
  await expectManifest(await ask("GET", locationOf(put)), manifest, manifest.text);
}

async function expectManifest(
  response: Response,
  { descriptor: { mediaType, digest, size } }: MadeManifest,
  body: string,
): Promise<void> {
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe(mediaType);
  expect(response.headers.get("content-length")).toBe(`${size}`);
  expect(response.headers.get("docker-content-digest")).toBe(digest);
  expect(await response.text()).toBe(body);
}

async function listTags({ ask, repository, content }: Walk): Promise<void> {
  const tagsOf = async (query: string) => {
    const response = await ask("GET", `${repository}/tags/list${query}`);
    expect(response.status).toBe(200);
    return ((await response.json()) as { tags: string[] }).tags;
  };
  const all = content.manifests.flatMap(({ tags }) => tags).sort();
  expect(await tagsOf("")).toEqual(all);
  const half = all.length >> 1;
  const last = all[half - 1];
  if (last !== undefined) expect(await tagsOf(`?last=${last}`)).toEqual(all.slice(half));
}

async function pull({ ask, repository, content }: Walk): Promise<void> {
  for (const manifest of content.manifests) {
    for (const reference of [manifest.descriptor.digest, ...manifest.tags]) {
      const path = `${repository}/manifests/${reference}`;
      const headers = { accept: `${MEDIA_TYPE.index}, ${MEDIA_TYPE.image}` };
      await expectManifest(await ask("HEAD", path, { headers }), manifest, "");
      await expectManifest(await ask("GET", path, { headers }), manifest, manifest.text);
    }
  }
  for (const [digest, bytes] of content.blobs) {
    const path = `${repository}/blobs/${digest}`;
    const head = await ask("HEAD", path);
    const get = await ask("GET", path);
    for (const { status, headers } of [head, get]) {
      expect(status).toBe(200);
      expect(headers.get("content-length")).toBe(`${bytes.byteLength}`);
      expect(headers.get("docker-content-digest")).toBe(digest);
    }
    expect(await head.text()).toBe("");
    expect(await get.bytes()).toEqual(bytes);
  }
}

async function listReferrers({ ask, repository, content }: Walk): Promise<void> {
  const bySubject = Map.groupBy(content.manifests, ({ subject }) => subject?.digest);
  for (const [subject, referrers] of bySubject) {
    if (subject === undefined) continue;
    const expected = referrers
      .map(({ descriptor, artifactType, annotations }) => ({
        ...descriptor,
        ...(artifactType !== undefined && { artifactType }),
        ...(annotations !== undefined && { annotations }),
      }))
      .sort((a, b) => (a.digest < b.digest ? -1 : 1));
    expect(await referrersOf(ask, repository, subject)).toEqual(expected);
    for (const type of new Set(referrers.map(({ artifactType }) => artifactType))) {
      if (type === undefined) continue;
      expect(await referrersOf(ask, repository, subject, type)).toEqual(
        expected.filter(({ artifactType }) => artifactType === type),
      );
    }
  }
}

async function referrersOf(
  ask: Ask,
  repository: string,
  subject: Digest,
  artifactType?: string,
): Promise<Descriptor[]> {
  const query = artifactType ? `?artifactType=${encodeURIComponent(artifactType)}` : "";
  const response = await ask("GET", `${repository}/referrers/${subject}${query}`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe(MEDIA_TYPE.index);
  expect(response.headers.get("oci-filters-applied")).toBe(artifactType ? "artifactType" : null);
  const index = (await response.json()) as { manifests: Descriptor[] };
  expect(index).toMatchObject({ schemaVersion: 2, mediaType: MEDIA_TYPE.index });
  return index.manifests;
}

/** Tags first, then manifests from the top down, then blobs: each is gone at once. */
async function removeAll({ ask, repository, content }: Walk): Promise<void> {
  const remove = async (path: string) => {
    expect((await ask("DELETE", `${repository}/${path}`)).status).toBe(202);
    expect((await ask("HEAD", `${repository}/${path}`)).status).toBe(404);
  };
  for (const { tags } of content.manifests) {
    for (const tag of tags) await remove(`manifests/${tag}`);
  }
  for (const { descriptor } of content.manifests.toReversed()) {
    await remove(`manifests/${descriptor.digest}`);
  }
  for (const digest of content.blobs.keys()) await remove(`blobs/${digest}`);
}
