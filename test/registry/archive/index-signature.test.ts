// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, expect, test } from "bun:test";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  faultOf,
  keyIdOf,
  parseSignature,
  signIndex,
} from "../../../src/registry/archive/index-signature.ts";
import { parsePrivateKey } from "../../../src/registry/signatures/private-key.ts";
import { parsePublicKey } from "../../../src/registry/signatures/public-key.ts";
import { text } from "../served.ts";

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "prov-signature-"));
});
afterAll(() => rm(work, { recursive: true }));

const index = text('{"schemaVersion":2}');

interface Pem {
  readonly priv: string;
  readonly pub: string;
}

function pemOf({ privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject }): Pem {
  return {
    priv: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    pub: publicKey.export({ type: "spki", format: "pem" }).toString(),
  };
}

const signerOf = (pem: string) => parsePrivateKey(pem, null, "the key");

const ec = (namedCurve: string) => pemOf(generateKeyPairSync("ec", { namedCurve }));
const ed25519 = pemOf(generateKeyPairSync("ed25519"));
const rsa = (modulusLength: number) => pemOf(generateKeyPairSync("rsa", { modulusLength }));

async function openssl(...argv: readonly string[]): Promise<string> {
  const child = Bun.spawn(["openssl", ...argv], { cwd: work, stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return (await child.exited) === 0 ? out.trim() : `failed: ${out}${err}`;
}

const EDDSA = ["pkeyutl", "-verify", "-pubin", "-inkey", "key.pub", "-rawin", "-in", "index.json"];

test.each([
  ["Ed25519", ed25519, [...EDDSA, "-sigfile", "index.sig"]],
  ["ECDSA P-256", ec("P-256"), ["dgst", "-sha256"]],
  ["ECDSA P-384", ec("P-384"), ["dgst", "-sha256"]],
  ["RSA", rsa(2048), ["dgst", "-sha256"]],
])("%s: what prov signs, prov and openssl verify", async (_, { priv, pub }, argv) => {
  const signature = parseSignature(signIndex(index, signerOf(priv)));
  const key = parsePublicKey(pub);
  expect(faultOf(signature, index, key)).toBeUndefined();
  expect(faultOf(signature, text("other"), key)).toBe("its index is not what was signed");

  await Bun.write(join(work, "key.pub"), pub);
  await Bun.write(join(work, "index.json"), index);
  await Bun.write(join(work, "index.sig"), Buffer.from(signature.signature, "base64"));
  const verify =
    argv[0] === "dgst"
      ? [...argv, "-verify", "key.pub", "-signature", "index.sig", "index.json"]
      : argv;
  expect(await openssl(...verify)).toMatch(/^(Verified OK|Signature Verified Successfully)$/);
  await Bun.write(join(work, "index.json"), "other");
  expect(await openssl(...verify)).toMatch(/failed/);

  const der = await openssl(
    "pkey",
    "-pubin",
    "-in",
    "key.pub",
    "-outform",
    "DER",
    "-out",
    "key.der",
  );
  expect(der).toBe("");
  const hash = await openssl("dgst", "-sha256", "-r", "key.der");
  expect(signature.keyId).toBe(`sha256:${hash.split(" ")[0]}`);
});

test("a key has one name, whichever half it is", () => {
  expect(keyIdOf(signerOf(ed25519.priv).publicKey)).toBe(keyIdOf(parsePublicKey(ed25519.pub)));
});

test("Ed25519 and RSA sign the same twice, so that a signed archive is the same twice", () => {
  for (const { priv } of [ed25519, rsa(2048)]) {
    const key = signerOf(priv);
    expect(signIndex(index, key)).toBe(signIndex(index, key));
  }
});

test("another key's signature is told by the key's name, and a forged name does not help", () => {
  const signature = parseSignature(signIndex(index, signerOf(ed25519.priv)));
  const other = parsePublicKey(pemOf(generateKeyPairSync("ed25519")).pub);
  expect(faultOf(signature, index, other)).toMatch(/^it is signed by the key sha256:/);
  const renamed = { ...signature, keyId: keyIdOf(other) };
  expect(faultOf(renamed, index, other)).toBe("its index is not what was signed");
  const empty = { ...renamed, signature: "" };
  expect(faultOf(empty, index, other)).toBe("its index is not what was signed");
});

test.each(["", "[]", "{}", '{"keyId":"sha256:00"}'])("%j is no signature", (document) => {
  expect(() => parseSignature(document)).toThrow(SyntaxError);
});
