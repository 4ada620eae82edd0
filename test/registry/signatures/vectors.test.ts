// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { join } from "node:path";
import { digestOf } from "../../../src/registry/digest.ts";
import { parseBundle, preAuthEncoding } from "../../../src/registry/signatures/bundle.ts";
import { judge } from "../../../src/registry/signatures/claim.ts";
import { isSignedBy, parsePublicKey } from "../../../src/registry/signatures/public-key.ts";
import {
  parseSimpleSigning,
  SIGNATURE_ANNOTATION,
  SIMPLE_SIGNING,
  simpleSigningPayload,
} from "../../../src/registry/signatures/simple-signing.ts";
import { text } from "../served.ts";

const FIXTURES = join(import.meta.dir, "../../fixtures/cosign");
const fixture = (name: string) => Bun.file(join(FIXTURES, name));

const BUSYBOX = "sha256:f3cfc9d0dbf931d3db4685ec659b7ac68e2a578219da4aae65427886e649b06b";

interface Vectors {
  readonly payload: string;
  readonly signatures: readonly { readonly key: string; readonly signature: string }[];
}

test("signatures that cosign made are read and verified, each by its own key alone", async () => {
  const { payload, signatures }: Vectors = await fixture("simple-signing.json").json();
  const keys = new Map(signatures.map(({ key }, i) => [`key-${i}`, parsePublicKey(key)]));
  expect(signatures).toHaveLength(2);
  for (const [i, { signature }] of signatures.entries()) {
    const annotations = { [SIGNATURE_ANNOTATION]: signature };
    const layer = { mediaType: SIMPLE_SIGNING, digest: digestOf(payload), size: 0, annotations };
    const claim = parseSimpleSigning({ ...layer, isForeign: false }, text(payload));
    expect(judge(claim, BUSYBOX, keys)).toEqual([`key-${i}`]);
    expect(judge(claim, digestOf("another"), keys)).toBeString();
  }
});

test("the payload is what cosign writes, byte for byte", async () => {
  const { payload }: Vectors = await fixture("simple-signing.json").json();
  expect(simpleSigningPayload(BUSYBOX, "registry-testing.svc.lan/busybox")).toEqual(text(payload));
});

test("what a DSSE envelope's signature is over (DSSE, protocol.md, test vector)", () => {
  expect(preAuthEncoding("http://example.com/HelloWorld", text("hello world"))).toEqual(
    Buffer.from("DSSEv1 29 http://example.com/HelloWorld 11 hello world"),
  );
});

test("an envelope that sigstore's conformance tests made: its signature is good, and it is no approval", async () => {
  const bytes = await fixture("attestation.sigstore.json").bytes();
  const { dsseEnvelope } = JSON.parse(new TextDecoder().decode(bytes));
  const key = parsePublicKey(await fixture("attestation.pub").text());
  const payload = Buffer.from(dsseEnvelope.payload, "base64");
  const signature = Buffer.from(dsseEnvelope.signatures[0].sig, "base64");
  const message = preAuthEncoding(dsseEnvelope.payloadType, payload);
  expect(isSignedBy(key, message, signature)).toBe(true);
  expect(isSignedBy(key, payload, signature)).toBe(false);
  expect(() => parseBundle(bytes, text("{}"))).toThrow("it is an attestation (https://example.com");
});
