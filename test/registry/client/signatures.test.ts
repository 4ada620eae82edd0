// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realSleep, silentLog } from "../../../src/base/deps.ts";
import { pushSignature, remoteReader } from "../../../src/registry/client/signatures.ts";
import { type Digest, digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { signatureTag } from "../../../src/registry/signatures/find.ts";
import { verifyArtifact } from "../../../src/registry/signatures/verify.ts";
import { pushImage, type Served, serveRegistry, text } from "../served.ts";
import { ecKey, edKey, rsaKey, type TestKey } from "../signatures/keys.ts";
import { openssl } from "../signatures/openssl.ts";
import { attach, COSIGN, REPOSITORY, simple } from "../signatures/signed.ts";

const ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json";
const SIGNATURE = "dev.cosignproject.cosign/signature";
const deps = { fetch, sleep: realSleep, now: Date.now, log: silentLog };

let served: Served;
let count = 0;
beforeAll(async () => {
  served = await serveRegistry();
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
});

const remote = () => ({
  registry: served.url,
  repository: REPOSITORY,
  authorization: null,
  ca: null,
});
const sign = (reference: string, { signer }: TestKey) =>
  pushSignature(remote(), reference, signer, deps);
const verify = (digest: Digest, keys: Record<string, string>) =>
  verifyArtifact({ digest, keys }, remoteReader(remote(), deps));

async function artifact(): Promise<{ tag: string; digest: Digest; size: number }> {
  const tag = `v${count++}`;
  const { digest, manifest } = await pushImage(served, REPOSITORY, tag, { layers: [text(tag)] });
  return { tag, digest, size: manifest.length };
}

// biome-ignore lint/suspicious/noExplicitAny: a manifest, looked into from all sides.
const get = async (path: string): Promise<any> =>
  await (await served.ask("GET", `${REPOSITORY}/${path}`)).json();

test("a signature is a manifest that refers to its artifact and has cosign's tag", async () => {
  const { tag, digest, size } = await artifact();
  const key = ecKey();
  const signed = await sign(tag, key);
  expect(signed).toEqual({
    digest,
    signature: expect.stringMatching(/^sha256:/),
    tag: `${digest.replace(":", "-")}.sig`,
  });
  const { manifests } = await get(`referrers/${digest}`);
  expect(manifests).toMatchObject([{ digest: signed.signature, artifactType: ARTIFACT }]);
  const manifest = await get(`manifests/${signed.tag}`);
  expect(manifest).toMatchObject({
    artifactType: ARTIFACT,
    config: { mediaType: "application/vnd.oci.image.config.v1+json" },
    layers: [{ mediaType: "application/vnd.dev.cosign.simplesigning.v1+json" }],
    subject: { mediaType: MEDIA_TYPE.image, digest, size },
  });
  const [layer] = manifest.layers;
  expect(await get(`blobs/${layer.digest}`)).toEqual({
    critical: {
      identity: { "docker-reference": `${new URL(served.url).host}/${REPOSITORY}` },
      image: { "docker-manifest-digest": digest },
      type: "cosign container image signature",
    },
    optional: null,
  });
  const config = await get(`blobs/${manifest.config.digest}`);
  expect(config.rootfs).toEqual({ type: "layers", diff_ids: [layer.digest] });
});

test("openssl verifies what lies in the registry", async () => {
  const { digest } = await artifact();
  const key = ecKey("P-384");
  await sign(digest, key);
  const { layers } = await get(`manifests/${signatureTag(digest)}`);
  const payload = await served.ask("GET", `${REPOSITORY}/blobs/${layers[0].digest}`);
  const directory = await mkdtemp(join(tmpdir(), "prov-signed-"));
  await Bun.write(join(directory, "key.pub"), key.publicPem);
  await Bun.write(join(directory, "payload"), payload);
  const signature = Buffer.from(layers[0].annotations[SIGNATURE], "base64");
  await Bun.write(join(directory, "signature"), signature);
  const args = ["dgst", "-sha256", "-verify", "key.pub", "-signature", "signature", "payload"];
  expect(await openssl(directory, ...args)).toBe("Verified OK\n");
  await rm(directory, { recursive: true });
});

test("signers are added to each other, and signing again by the same key changes nothing else", async () => {
  const { tag, digest } = await artifact();
  const keys = { ci: ecKey(), release: edKey(), site: rsaKey() };
  const pems = {
    ci: keys.ci.publicPem,
    release: keys.release.publicPem,
    site: keys.site.publicPem,
  };
  for (const key of [keys.ci, keys.release, keys.site, keys.ci, keys.release]) await sign(tag, key);
  const { layers } = await get(`manifests/${signatureTag(digest)}`);
  expect(layers).toHaveLength(3);
  expect(await verify(digest, pems)).toEqual({
    signedBy: ["ci", "release", "site"],
    rejected: [],
  });
  const { signedBy, rejected } = await verify(digest, { stranger: ecKey().publicPem });
  // Each key's signatures, once each: ECDSA's differ every time, and so do the manifests.
  expect([signedBy.length, rejected.length]).toEqual([0, 4]);
});

test("a signature of cosign's stays beside ours", async () => {
  const { tag, digest } = await artifact();
  const theirs = ecKey();
  const ours = ecKey();
  await attach(served, [simple(digest, theirs)], { tag: signatureTag(digest) ?? "" });
  await sign(tag, ours);
  const pems = { theirs: theirs.publicPem, ours: ours.publicPem };
  expect(await verify(digest, pems)).toEqual({ signedBy: ["ours", "theirs"], rejected: [] });
});

test.each([409, 403])(
  "where the signature tag may be set once only (%d), a further signature just refers",
  async (status) => {
    const { tag, digest } = await artifact();
    const first = ecKey();
    const second = ecKey();
    await sign(tag, first);
    const stubborn = {
      ...deps,
      fetch: ((url: string, init?: RequestInit) =>
        init?.method === "PUT" && url.endsWith(".sig")
          ? Promise.resolve(Response.json({ errors: [{ code: "DENIED" }] }, { status }))
          : fetch(url, init)) as typeof fetch,
    };
    const signed = await pushSignature(remote(), tag, second.signer, stubborn);
    expect(signed.tag).toBeNull();
    const pems = { first: first.publicPem, second: second.publicPem };
    expect((await verify(digest, pems)).signedBy).toEqual(["first", "second"]);
  },
);

test("an artifact by its sha512 digest is signed by a referrer alone", async () => {
  const { tag } = await artifact();
  const bytes = await (await served.ask("GET", `${REPOSITORY}/manifests/${tag}`)).text();
  const digest = digestOf(bytes, "sha512");
  const headers = { "content-type": MEDIA_TYPE.image };
  await served.ask("PUT", `${REPOSITORY}/manifests/${digest}`, { body: bytes, headers });
  const key = ecKey();
  expect(await sign(digest, key)).toMatchObject({ digest, tag: null });
  expect((await verify(digest, { key: key.publicPem })).signedBy).toEqual(["key"]);
  const { manifests } = await get(`referrers/${digest}?artifactType=${encodeURIComponent(COSIGN)}`);
  expect(manifests).toHaveLength(1);
});

test("what is not there is not signed", async () => {
  await expect(sign("nothing", ecKey())).rejects.toMatchObject({ code: "ARTIFACT_NOT_FOUND" });
});
