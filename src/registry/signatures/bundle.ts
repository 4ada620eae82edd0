// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The sigstore bundle, which cosign writes since version 3 (sigstore's protobuf-specs,
 * sigstore_bundle.proto, in JSON): a DSSE envelope around an in-toto statement that names the
 * artifact, or a signature over the artifact's manifest itself. What it brings for a transparency log
 * or a certificate authority is not looked at: only a key that the site trusts counts.
 */
import { arrayAt, at, isObject, type JsonObject, stringAt } from "../../base/json.ts";
import type { Claim } from "./claim.ts";
import { decodeBase64, parseObject } from "./json-bytes.ts";

/** `…bundle.v0.3+json`, and `…bundle+json;version=0.1` of earlier days. */
export function isBundle(mediaType: string): boolean {
  return /^application\/vnd\.dev\.sigstore\.bundle(?:\.v\d+\.\d+)?\+json(?:;|$)/.test(mediaType);
}

const STATEMENT = "application/vnd.in-toto+json";
const STATEMENT_TYPES = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
/** What `cosign sign` says. Other predicates say something about an artifact, not that it is approved. */
const SIGNED = "https://sigstore.dev/cosign/sign/v1";
const HASH: Readonly<Record<string, string>> = { SHA2_256: "sha256", SHA2_512: "sha512" };
/** More than any honest bundle has. */
const MAX_SIGNATURES = 8;
const MAX_SUBJECTS = 64;

/**
 * @param manifest of the artifact that the bundle refers to: what a message signature is over.
 * @throws {SyntaxError} when it is not a signature of this format.
 */
export function parseBundle(bytes: Uint8Array, manifest: Uint8Array): Claim {
  const bundle = parseObject(bytes);
  if (!isBundle(stringAt(bundle, "mediaType") ?? "")) {
    throw new SyntaxError("it is not a sigstore bundle");
  }
  const material = at(bundle, "verificationMaterial");
  const isKeyless =
    at(material, "certificate") !== undefined || at(material, "x509CertificateChain") !== undefined;
  if (isObject(bundle.dsseEnvelope)) return { ...fromEnvelope(bundle.dsseEnvelope), isKeyless };
  if (isObject(bundle.messageSignature)) {
    return { ...fromMessageSignature(bundle.messageSignature), message: manifest, isKeyless };
  }
  throw new SyntaxError("the bundle has no signature");
}

function fromEnvelope(envelope: JsonObject): Omit<Claim, "isKeyless"> {
  const payloadType = stringAt(envelope, "payloadType") ?? "";
  if (payloadType !== STATEMENT) throw new SyntaxError("its envelope has no in-toto statement");
  const payload = decodeBase64(stringAt(envelope, "payload") ?? "");
  const signatures = arrayAt(envelope, "signatures");
  if (signatures.length > MAX_SIGNATURES) throw new SyntaxError("it has too many signatures");
  return {
    message: preAuthEncoding(payloadType, payload),
    digests: subjectsOf(payload),
    signatures: signatures.map((signature) => decodeBase64(stringAt(signature, "sig") ?? "")),
  };
}

/** DSSE, protocol.md: what is signed is the payload together with its type, each with its length. */
export function preAuthEncoding(type: string, payload: Uint8Array): Uint8Array {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.byteLength} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

function subjectsOf(payload: Uint8Array): string[] {
  const statement = parseObject(payload);
  if (!STATEMENT_TYPES.includes(stringAt(statement, "_type") ?? "")) {
    throw new SyntaxError("its envelope has no in-toto statement");
  }
  const predicate = stringAt(statement, "predicateType") ?? "";
  if (predicate !== SIGNED) {
    throw new SyntaxError(`it is an attestation (${predicate.slice(0, 200)}), not a signature`);
  }
  const subjects = arrayAt(statement, "subject");
  if (subjects.length > MAX_SUBJECTS) throw new SyntaxError("it has too many subjects");
  return subjects.flatMap((subject) =>
    ["sha256", "sha512"].flatMap((algorithm) => {
      const hex = stringAt(subject, "digest", algorithm);
      return hex === undefined ? [] : [`${algorithm}:${hex}`];
    }),
  );
}

function fromMessageSignature(content: JsonObject): Omit<Claim, "isKeyless" | "message"> {
  const algorithm = HASH[stringAt(content, "messageDigest", "algorithm") ?? ""];
  if (algorithm === undefined) throw new SyntaxError("its digest is not SHA2_256 or SHA2_512");
  const digest = decodeBase64(stringAt(content, "messageDigest", "digest") ?? "");
  return {
    digests: [`${algorithm}:${Buffer.from(digest).toString("hex")}`],
    signatures: [decodeBase64(stringAt(content, "signature") ?? "")],
  };
}
