// SPDX-License-Identifier: AGPL-3.0-or-later
import { generateKeyPairSync } from "node:crypto";
import { parsePrivateKey, type Signer } from "../../../src/registry/signatures/private-key.ts";

export interface TestKey {
  readonly pem: string;
  readonly publicPem: string;
  readonly signer: Signer;
}

const PUBLIC = { type: "spki", format: "pem" } as const;
const PRIVATE = { type: "pkcs8", format: "pem" } as const;
const ENCODINGS = { publicKeyEncoding: PUBLIC, privateKeyEncoding: PRIVATE };

function testKey({ publicKey, privateKey }: { publicKey: string; privateKey: string }): TestKey {
  const signer = parsePrivateKey(privateKey, null, "test.key");
  return { pem: privateKey, publicPem: publicKey, signer };
}

export const ecKey = (namedCurve = "P-256"): TestKey =>
  testKey(generateKeyPairSync("ec", { namedCurve, ...ENCODINGS }));
export const edKey = (): TestKey => testKey(generateKeyPairSync("ed25519", ENCODINGS));
export const rsaKey = (modulusLength = 2048): TestKey =>
  testKey(generateKeyPairSync("rsa", { modulusLength, ...ENCODINGS }));
