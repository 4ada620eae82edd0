// SPDX-License-Identifier: AGPL-3.0-or-later
import { type Digest, digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { preAuthEncoding } from "../../../src/registry/signatures/bundle.ts";
import {
  SIGNATURE_ANNOTATION,
  SIMPLE_SIGNING,
  simpleSigningPayload,
} from "../../../src/registry/signatures/simple-signing.ts";
import { pushBlob, type Served, text } from "../served.ts";
import type { TestKey } from "./keys.ts";

export const REPOSITORY = "os-images/debian";
export const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
export const COSIGN = "application/vnd.dev.cosign.artifact.sig.v1+json";

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** A layer of a signature manifest: its content, and what its descriptor says. */
export interface Layer {
  readonly content: Uint8Array<ArrayBuffer>;
  readonly mediaType: string;
  readonly annotations?: Record<string, string>;
}

export function simple(
  digest: Digest,
  key: TestKey,
  payload = simpleSigningPayload(digest, `prov.example/${REPOSITORY}`),
): Layer {
  const annotations = { [SIGNATURE_ANNOTATION]: base64(key.signer.sign(payload)) };
  return { content: payload, mediaType: SIMPLE_SIGNING, annotations };
}

const layerOf = (bundle: object): Layer => ({
  content: text(JSON.stringify(bundle)),
  mediaType: BUNDLE,
});

const material = { publicKey: { hint: "any" } };

/** As cosign 3 signs: a statement in a DSSE envelope. */
export function dsse(
  digest: Digest,
  key: TestKey,
  change: { statement?: object; verificationMaterial?: object; payloadType?: string } = {},
): Layer {
  const [algorithm = "", hex] = digest.split(":");
  const statement = {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ digest: { [algorithm]: hex }, annotations: {} }],
    predicateType: "https://sigstore.dev/cosign/sign/v1",
    predicate: {},
    ...change.statement,
  };
  const { payloadType = "application/vnd.in-toto+json" } = change;
  const payload = text(JSON.stringify(statement));
  const sig = base64(key.signer.sign(preAuthEncoding(payloadType, payload)));
  return layerOf({
    mediaType: BUNDLE,
    verificationMaterial: change.verificationMaterial ?? material,
    dsseEnvelope: { payload: base64(payload), payloadType, signatures: [{ sig, keyid: "" }] },
  });
}

/** A signature over the manifest itself, as `cosign sign-blob` makes one. */
export function overManifest(manifest: string, key: TestKey, digest = digestOf(manifest)): Layer {
  return layerOf({
    mediaType: BUNDLE,
    verificationMaterial: material,
    messageSignature: {
      messageDigest: {
        algorithm: digest.startsWith("sha512:") ? "SHA2_512" : "SHA2_256",
        digest: base64(Buffer.from(digest.slice(7), "hex")),
      },
      signature: base64(key.signer.sign(text(manifest))),
    },
  });
}

/** Pushes a manifest with these layers: under a tag, or by its digest with a subject. */
export async function attach(
  served: Pick<Served, "ask">,
  layers: readonly Layer[],
  at: { readonly tag: string } | { readonly subject: Digest; readonly artifactType: string },
): Promise<Digest> {
  const config = await pushBlob(served, REPOSITORY, text("{}"));
  const descriptors = [];
  for (const { content, mediaType, annotations } of layers) {
    const digest = await pushBlob(served, REPOSITORY, content);
    descriptors.push({ mediaType, digest, size: content.byteLength, annotations });
  }
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.image,
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: config, size: 2 },
    layers: descriptors,
    ...("subject" in at && {
      artifactType: at.artifactType,
      subject: { mediaType: MEDIA_TYPE.image, digest: at.subject, size: 1 },
    }),
  });
  const digest = digestOf(manifest);
  const reference = "tag" in at ? at.tag : digest;
  const response = await served.ask("PUT", `${REPOSITORY}/manifests/${reference}`, {
    body: manifest,
    headers: { "content-type": MEDIA_TYPE.image },
  });
  if (response.status !== 201) throw new Error(`attach: ${await response.text()}`);
  return digest;
}
