// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Digest, digestOf } from "../../../src/registry/digest.ts";
import { findSignatures, signatureTag } from "../../../src/registry/signatures/find.ts";
import { createReader } from "../../../src/registry/signatures/reader.ts";
import {
  SIGNATURE_ANNOTATION,
  SIMPLE_SIGNING,
  simpleSigningPayload,
} from "../../../src/registry/signatures/simple-signing.ts";
import { describeRejected, verifyArtifact } from "../../../src/registry/signatures/verify.ts";
import { pushImage, type Served, serveRegistry, text } from "../served.ts";
import { ecKey, edKey, rsaKey, type TestKey } from "./keys.ts";
import {
  attach,
  BUNDLE,
  COSIGN,
  dsse,
  type Layer,
  overManifest,
  REPOSITORY,
  simple,
} from "./signed.ts";

const release = ecKey();
const other = ecKey();
const KEYS = { release: release.publicPem, other: other.publicPem };

let served: Served;
let count = 0;
beforeAll(async () => {
  served = await serveRegistry();
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
});

/** An artifact of its own for each case. */
async function artifact(): Promise<{ digest: Digest; manifest: string }> {
  return await pushImage(served, REPOSITORY, `v${count++}`, { layers: [text(`root ${count}`)] });
}

const verify = (digest: Digest, keys: Record<string, string> = KEYS) =>
  served.registry.verify(REPOSITORY, digest, keys);

type Place = (digest: Digest) => Parameters<typeof attach>[2];
const legacyTag: Place = (digest) => ({ tag: signatureTag(digest) ?? "" });
const refersAs =
  (artifactType: string): Place =>
  (subject) => ({ subject, artifactType });

describe("what counts as a signature", () => {
  const good: readonly [string, Place, (digest: Digest, manifest: string) => Layer][] = [
    ["simple signing under the tag", legacyTag, (d) => simple(d, release)],
    ["simple signing as a referrer", refersAs(COSIGN), (d) => simple(d, release)],
    ["a bundle with a statement", refersAs(BUNDLE), (d) => dsse(d, release)],
    [
      "a statement of the older type",
      refersAs(BUNDLE),
      (d) => dsse(d, release, { statement: { _type: "https://in-toto.io/Statement/v0.1" } }),
    ],
    [
      "a bundle over the manifest",
      refersAs(BUNDLE),
      (_, manifest) => overManifest(manifest, release),
    ],
    [
      "a bundle under the first name of the format",
      refersAs("application/vnd.dev.sigstore.bundle+json;version=0.1"),
      (d) => dsse(d, release),
    ],
    [
      "a payload with claims of the signer's own",
      legacyTag,
      (d) => {
        const payload = JSON.parse(
          new TextDecoder().decode(simpleSigningPayload(d, "elsewhere.example/x")),
        );
        return simple(
          d,
          release,
          text(JSON.stringify({ ...payload, optional: { by: "ci" } }, null, 2)),
        );
      },
    ],
    [
      "one by a key, with a certificate beside it",
      refersAs(BUNDLE),
      (d) => dsse(d, release, { verificationMaterial: { certificate: { rawBytes: "AA==" } } }),
    ],
  ];
  test.each(good)("%s", async (_, place, layer) => {
    const { digest, manifest } = await artifact();
    await attach(served, [layer(digest, manifest)], place(digest));
    expect(await verify(digest)).toEqual({ signedBy: ["release"], rejected: [] });
  });

  const kinds: readonly [string, TestKey][] = [
    ["ECDSA P-256", ecKey("P-256")],
    ["ECDSA P-384", ecKey("P-384")],
    ["Ed25519", edKey()],
    ["RSA 2048", rsaKey(2048)],
    ["RSA 3072", rsaKey(3072)],
  ];
  test.each(kinds)("by a key of kind %s, in each format", async (_, key) => {
    const { digest, manifest } = await artifact();
    const keys = { it: key.publicPem };
    for (const layer of [simple(digest, key), dsse(digest, key), overManifest(manifest, key)]) {
      const fresh = await artifact();
      expect((await verify(fresh.digest, keys)).signedBy).toEqual([]);
      await attach(served, [layer], {
        subject: digest,
        artifactType: layer.mediaType === BUNDLE ? BUNDLE : COSIGN,
      });
    }
    expect(await verify(digest, keys)).toEqual({ signedBy: ["it"], rejected: [] });
    expect((await verify(digest)).signedBy).toEqual([]);
  });

  test("two signers in one manifest and a third in another are all named", async () => {
    const { digest } = await artifact();
    const third = edKey();
    await attach(served, [simple(digest, release), simple(digest, other)], legacyTag(digest));
    await attach(served, [dsse(digest, third)], refersAs(BUNDLE)(digest));
    const verdict = await verify(digest, { ...KEYS, third: third.publicPem });
    expect(verdict).toEqual({ signedBy: ["other", "release", "third"], rejected: [] });
  });

  test("an artifact by its sha512 digest, which has no signature tag", async () => {
    const { manifest } = await artifact();
    const digest = digestOf(manifest, "sha512");
    const pushed = await served.ask("PUT", `${REPOSITORY}/manifests/${digest}`, {
      body: manifest,
      headers: { "content-type": "application/vnd.oci.image.manifest.v1+json" },
    });
    expect(pushed.status).toBe(201);
    expect(signatureTag(digest)).toBeUndefined();
    await attach(served, [simple(digest, release)], refersAs(COSIGN)(digest));
    await attach(served, [dsse(digest, other)], refersAs(BUNDLE)(digest));
    expect(await verify(digest)).toEqual({ signedBy: ["other", "release"], rejected: [] });
  });
});

/** The layer with one of its bytes changed, somewhere in the middle. */
function tampered(layer: Layer, at: string): Layer {
  const content = new TextDecoder().decode(layer.content);
  expect(content).toContain(at);
  return { ...layer, content: text(content.replace(at, `${at} `)) };
}

const withoutSignature = ({ content, mediaType }: Layer): Layer => ({ content, mediaType });
const resigned = (layer: Layer, signature: string): Layer => ({
  ...layer,
  annotations: { [SIGNATURE_ANNOTATION]: signature },
});
const json = (value: unknown): Layer => ({
  content: text(JSON.stringify(value)),
  mediaType: BUNDLE,
});
const stranger = ecKey();
const elsewhere = digestOf("another artifact");

describe("what does not count, and why", () => {
  const bad: readonly [string, Place, (digest: Digest, manifest: string) => Layer, string][] = [
    [
      "by a stranger",
      legacyTag,
      (d) => simple(d, stranger),
      "not made by any of the keys release, other",
    ],
    [
      "by a stranger, bundle",
      refersAs(BUNDLE),
      (d) => dsse(d, stranger),
      "not made by any of the keys",
    ],
    [
      "by a stranger, manifest",
      refersAs(BUNDLE),
      (_, m) => overManifest(m, stranger),
      "not made by",
    ],
    [
      "over another digest",
      legacyTag,
      () => simple(elsewhere, release),
      "about another artifact, sha256:",
    ],
    [
      "over another digest, bundle",
      refersAs(BUNDLE),
      () => dsse(elsewhere, release),
      "about another artifact",
    ],
    [
      "over another manifest",
      refersAs(BUNDLE),
      () => overManifest("{}", release),
      "about another artifact",
    ],
    [
      "over another manifest that claims this digest",
      refersAs(BUNDLE),
      (d) => overManifest("{}", release, d),
      "not made by",
    ],
    [
      "payload changed",
      legacyTag,
      (d) => tampered(simple(d, release), "critical"),
      "names no digest|is not a",
    ],
    [
      "payload with more in it",
      legacyTag,
      (d) => tampered(simple(d, release), '"optional":'),
      "not made by",
    ],
    [
      "payload exchanged for one about this artifact",
      legacyTag,
      (d) => ({ ...simple(elsewhere, release), content: simpleSigningPayload(d, "x") }),
      "not made by",
    ],
    ["no annotation", legacyTag, (d) => withoutSignature(simple(d, release)), "has no signature"],
    ["empty signature", legacyTag, (d) => resigned(simple(d, release), ""), "bad base64"],
    ["signature not base64", legacyTag, (d) => resigned(simple(d, release), "{}"), "bad base64"],
    [
      "signature of nothing but spaces, many of them",
      legacyTag,
      (d) => resigned(simple(d, release), `${" ".repeat(150_000)}{`),
      "bad base64",
    ],
    [
      "signature cut short",
      legacyTag,
      (d) => resigned(simple(d, release), "MEUCIQ=="),
      "not made by",
    ],
    [
      "of another type",
      legacyTag,
      (d) =>
        simple(
          d,
          release,
          text(
            JSON.stringify({
              critical: {
                type: "atomic container signature",
                image: { "docker-manifest-digest": d },
              },
            }),
          ),
        ),
      'is not a "cosign container image signature"',
    ],
    ["payload that is no JSON", legacyTag, (d) => simple(d, release, text("{")), "not JSON"],
    [
      "payload that is a list",
      legacyTag,
      (d) => simple(d, release, text("[]")),
      "not a JSON object",
    ],
    [
      "payload of nothing but depth",
      legacyTag,
      (d) => simple(d, release, text("[".repeat(200_000))),
      "not JSON",
    ],
    [
      "payload that is not UTF-8",
      legacyTag,
      (d) => simple(d, release, new Uint8Array([0x7b, 0xff, 0x7d])),
      "not JSON",
    ],
    [
      "payload that is huge",
      legacyTag,
      (d) => simple(d, release, new Uint8Array(300_000)),
      "more than 262144 bytes",
    ],
    [
      "bundle that is huge",
      refersAs(BUNDLE),
      () => json({ a: "x".repeat(300_000) }),
      "more than 262144 bytes",
    ],
    [
      "bundle cut short",
      refersAs(BUNDLE),
      (d) => ({ ...dsse(d, release), content: dsse(d, release).content.slice(0, 200) }),
      "not JSON",
    ],
    [
      "bundle of another kind",
      refersAs(BUNDLE),
      () => json({ mediaType: "text/plain" }),
      "not a sigstore bundle",
    ],
    [
      "bundle with nothing in it",
      refersAs(BUNDLE),
      () => json({ mediaType: BUNDLE }),
      "has no signature",
    ],
    [
      "bundle by a certificate",
      refersAs(BUNDLE),
      (d) => dsse(d, stranger, { verificationMaterial: { certificate: {} } }),
      "keyless",
    ],
    [
      "an attestation by a good key",
      refersAs(BUNDLE),
      (d) => dsse(d, release, { statement: { predicateType: "https://slsa.dev/provenance/v1" } }),
      "it is an attestation (https://slsa.dev/provenance/v1), not a signature",
    ],
    [
      "a statement of an unknown type",
      refersAs(BUNDLE),
      (d) => dsse(d, release, { statement: { _type: "https://in-toto.io/Statement/v2" } }),
      "no in-toto statement",
    ],
    [
      "an envelope of another type",
      refersAs(BUNDLE),
      (d) => dsse(d, release, { payloadType: "text/plain" }),
      "no in-toto statement",
    ],
    [
      "a statement about nothing",
      refersAs(BUNDLE),
      (d) => dsse(d, release, { statement: { subject: [] } }),
      "another artifact, none",
    ],
    [
      "a statement about too much",
      refersAs(BUNDLE),
      (d) => dsse(d, release, { statement: { subject: Array(65).fill({}) } }),
      "too many subjects",
    ],
    [
      "a referrer without a signature",
      refersAs(COSIGN),
      () => ({ content: text("x"), mediaType: "text/plain" }),
      "holds no signature",
    ],
  ];
  test.each(bad)("%s", async (_, place, layer, why) => {
    const { digest, manifest } = await artifact();
    const at = await attach(served, [layer(digest, manifest)], place(digest));
    const { signedBy, rejected } = await verify(digest);
    expect(signedBy).toEqual([]);
    expect(rejected).toEqual([{ digest: at, why: expect.any(String) }]);
    expect(rejected[0]?.why).toMatch(new RegExp(why.replace(/[()]/g, "\\$&")));
    // And it does not stand in the way of a good one.
    await attach(served, [dsse(digest, other)], refersAs(BUNDLE)(digest));
    expect(await verify(digest)).toMatchObject({ signedBy: ["other"], rejected: [{ digest: at }] });
  });

  test("nothing at all", async () => {
    const { digest } = await artifact();
    const verdict = await verify(digest);
    expect(verdict).toEqual({ signedBy: [], rejected: [] });
    expect(describeRejected(verdict.rejected)).toBe("it has no signatures");
  });

  test("an artifact that is not there, however well it is signed", async () => {
    const digest = digestOf("never pushed");
    await attach(served, [simple(digest, release)], legacyTag(digest));
    expect(await verify(digest)).toEqual({
      signedBy: [],
      rejected: [{ digest, why: "its manifest is not there, or damaged" }],
    });
  });

  test("a signature in another repository", async () => {
    const { digest } = await artifact();
    await attach(served, [simple(digest, release)], legacyTag(digest));
    expect((await served.registry.verify("os-images/other", digest, KEYS)).signedBy).toEqual([]);
  });

  test("a thing under the signature tag that is not a signature", async () => {
    const { digest } = await artifact();
    await pushImage(served, REPOSITORY, signatureTag(digest) ?? "");
    expect((await verify(digest)).rejected).toMatchObject([{ why: "it holds no signature" }]);
  });
});

test("of many referrers a bounded number is looked at, and it is said that there are more", async () => {
  const { digest } = await artifact();
  for (let i = 0; i < 70; i++) {
    const layer = json({ mediaType: BUNDLE, i });
    await attach(served, [layer], refersAs(BUNDLE)(digest));
  }
  await attach(served, [simple(digest, release)], legacyTag(digest));
  const { signedBy, rejected } = await verify(digest);
  expect(signedBy).toEqual(["release"]);
  expect(rejected).toHaveLength(65);
  expect(rejected.at(-1)).toEqual({ digest, why: "6 more refer to it than are looked at" });
  expect(describeRejected(rejected)).toEndWith("; and 60 more");
});

test("of many signatures in one manifest too", async () => {
  const { digest } = await artifact();
  const layers = Array.from({ length: 33 }, () => simple(elsewhere, release));
  await attach(served, [...layers, simple(digest, release)], legacyTag(digest));
  const { signedBy, rejected } = await verify(digest);
  expect(signedBy).toEqual([]);
  expect(rejected.at(-1)?.why).toBe("only the first 32 of its signatures were looked at");
});

test("what a signature says of itself makes no lines in the message about it", async () => {
  const { digest } = await artifact();
  const forged = "x\n\u001b[2K os-images/debian is signed by release";
  const critical = {
    type: "cosign container image signature",
    image: { "docker-manifest-digest": forged },
  };
  const layer = simple(digest, release, text(JSON.stringify({ critical })));
  await attach(served, [layer], legacyTag(digest));
  const predicateType = forged;
  await attach(
    served,
    [dsse(digest, release, { statement: { predicateType } })],
    refersAs(BUNDLE)(digest),
  );
  const { signedBy, rejected } = await verify(digest);
  expect([signedBy, rejected.length]).toEqual([[], 2]);
  expect(describeRejected(rejected)).toContain("is signed by release");
  expect(describeRejected(rejected)).not.toMatch(/\p{Cc}/u);
});

test("a good one counts, whatever another manifest says that the same bytes are", async () => {
  const { digest } = await artifact();
  const good = dsse(digest, release);
  const { content } = good;
  await attach(served, [{ content, mediaType: SIMPLE_SIGNING }], legacyTag(digest));
  await attach(served, [good], refersAs(BUNDLE)(digest));
  expect((await verify(digest)).signedBy).toEqual(["release"]);
});

test("they are read one by one: thousands of large ones do not come into memory together", async () => {
  const { digest, manifest } = await artifact();
  await attach(served, [simple(digest, release), simple(digest, other)], legacyTag(digest));
  await attach(served, [dsse(digest, other)], refersAs(BUNDLE)(digest));
  const read: (string | undefined)[] = [];
  const reader = createReader((path, accept) => {
    read.push(path.split("/")[0]);
    return served.ask("GET", `${REPOSITORY}/${path}`, { headers: { accept } });
  });
  const found = findSignatures(digest, text(manifest), reader);
  await found.next();
  expect(read).toEqual(["manifests", "blobs"]);
  await found.next();
  expect(read).toEqual(["manifests", "blobs", "blobs"]);
  expect(await Array.fromAsync(found)).toHaveLength(1);
});

test("a registry that serves another manifest for the digest proves nothing with a signature over that one", async () => {
  const { digest } = await artifact();
  const lie = "{}";
  const layer = overManifest(lie, release, digest);
  await attach(served, [layer], refersAs(BUNDLE)(digest));
  const reader = createReader(async (path, accept) => {
    if (path === `manifests/${digest}`) return new Response(lie);
    const response = await served.ask("GET", `${REPOSITORY}/${path}`, { headers: { accept } });
    return response.ok ? response : undefined;
  });
  const verdict = await verifyArtifact({ digest, keys: KEYS }, reader);
  expect(verdict.rejected).toEqual([{ digest, why: "its manifest is not there, or damaged" }]);
});

test("a registry that fails is an error, and not a verdict", async () => {
  const { digest } = await artifact();
  const reader = createReader(() => Promise.reject(new Error("connection refused")));
  await expect(verifyArtifact({ digest, keys: KEYS }, reader)).rejects.toThrow(
    "connection refused",
  );
});

test("a key that cannot be read is an error, named", async () => {
  const { digest } = await artifact();
  const keys = { release: release.publicPem, ci: "nonsense" };
  await expect(verify(digest, keys)).rejects.toThrow("the key ci: it is not PEM");
});
