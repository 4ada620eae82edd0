// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeError, hintOf } from "../../../src/base/errors.ts";
import { parsePrivateKey } from "../../../src/registry/signatures/private-key.ts";
import { isSignedBy, parsePublicKey } from "../../../src/registry/signatures/public-key.ts";
import { text } from "../served.ts";
import { openssl, pemIn } from "./openssl.ts";

const MESSAGE = text('{"critical":{}}');
const P256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const rsa = (bits: number) => ["-algorithm", "RSA", "-pkeyopt", `rsa_keygen_bits:${bits}`];

/** Kind of key, how openssl makes it, and how it signs and verifies as cosign would. */
const KINDS: readonly (readonly [string, readonly string[], readonly (readonly string[])[]])[] = [
  ["p256", P256, [["dgst", "-sha256"]]],
  [
    "p384",
    ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    [
      ["dgst", "-sha256"],
      ["dgst", "-sha384"],
    ],
  ],
  ["ed25519", ["-algorithm", "ed25519"], [["pkeyutl", "-rawin"]]],
  [
    "rsa",
    rsa(2048),
    [
      ["dgst", "-sha256"],
      ["dgst", "-sha256", ...pss("digest")],
    ],
  ],
];

function pss(salt: string): string[] {
  return ["-sigopt", "rsa_padding_mode:pss", "-sigopt", `rsa_pss_saltlen:${salt}`];
}

let directory: string;
const pem = (name: string) => pemIn(directory, name);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "prov-keys-"));
  await Bun.write(join(directory, "message"), MESSAGE);
  for (const [name, options] of KINDS) {
    await openssl(directory, "genpkey", ...options, "-out", `${name}.key`);
    await openssl(directory, "pkey", "-in", `${name}.key`, "-pubout", "-out", `${name}.pub`);
  }
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** The command of openssl that signs, or checks, the file `message`. */
function command(way: readonly string[], name: string, does: "sign" | "verify"): string[] {
  const [tool = "", ...options] = way;
  const isRaw = tool === "pkeyutl";
  const key = does === "sign" ? `${name}.key` : `${name}.pub`;
  if (isRaw) {
    const role =
      does === "sign"
        ? ["-sign", "-inkey", key, "-out"]
        : ["-verify", "-pubin", "-inkey", key, "-sigfile"];
    return [tool, ...options, "-in", "message", ...role, `${name}.sig`];
  }
  const role = does === "sign" ? ["-sign", key, "-out"] : ["-verify", key, "-signature"];
  return [tool, ...options, ...role, `${name}.sig`, "message"];
}

describe("openssl as the judge", () => {
  const ways = KINDS.flatMap(([name, , each]) =>
    each.map((way) => [name, way.join(" "), way] as const),
  );
  test.each(ways)("%s: prov verifies what `openssl %s` signed", async (name, _, way) => {
    await openssl(directory, ...command(way, name, "sign"));
    const signature = await Bun.file(join(directory, `${name}.sig`)).bytes();
    const key = parsePublicKey(await pem(`${name}.pub`));
    expect(isSignedBy(key, MESSAGE, signature)).toBe(true);
    expect(isSignedBy(key, text('{"critical":{} }'), signature)).toBe(false);
    for (const at of [0, signature.length >> 1, signature.length - 1]) {
      const bent = signature.map((byte, i) => (i === at ? byte ^ 1 : byte));
      expect(isSignedBy(key, MESSAGE, bent)).toBe(false);
    }
    expect(isSignedBy(key, MESSAGE, signature.slice(0, -1))).toBe(false);
  });

  test.each(KINDS)("%s: openssl verifies what prov signed", async (name, _, [way = []]) => {
    const signer = parsePrivateKey(await pem(`${name}.key`), null, `${name}.key`);
    await Bun.write(join(directory, `${name}.sig`), signer.sign(MESSAGE));
    await openssl(directory, ...command(way, name, "verify"));
    await Bun.write(join(directory, `${name}.sig`), signer.sign(text("something else")));
    await expect(openssl(directory, ...command(way, name, "verify"))).rejects.toThrow();
  });
});

describe("public keys", () => {
  const made: readonly [string, readonly string[], string][] = [
    ["RSA of 1024 bits", rsa(1024), "it is RSA of 1024 bits, and 2048 are the least"],
    ["P-521", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"], "curve secp521r1"],
    ["secp256k1", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"], "not supported"],
    ["X25519", ["-algorithm", "X25519"], "it is x25519, not ECDSA, Ed25519 or RSA"],
  ];
  test.each(made)("%s is refused", async (_, options, why) => {
    await openssl(directory, "genpkey", ...options, "-out", "bad.key");
    await openssl(directory, "pkey", "-in", "bad.key", "-pubout", "-out", "bad.pub");
    const bad = await pem("bad.pub");
    expect(() => parsePublicKey(bad)).toThrow(SyntaxError);
    expect(() => parsePublicKey(bad)).toThrow(why);
  });

  test("a private key, a certificate, two keys, half a key and no key are refused", async () => {
    await openssl(
      directory,
      "req",
      "-x509",
      "-new",
      "-key",
      "p256.key",
      "-subj",
      "/CN=x",
      "-out",
      "x.crt",
    );
    const one = await pem("p256.pub");
    const cases: readonly [string, string][] = [
      [await pem("p256.key"), "it is a private key"],
      [await pem("x.crt"), "it has CERTIFICATE where one PUBLIC KEY is due"],
      [one + (await pem("rsa.pub")), "it has PUBLIC KEY, PUBLIC KEY where one"],
      [one.slice(0, 80), "damaged"],
      [one.replace("MFkw", "MFkx"), "damaged"],
      ["", "it is not PEM"],
      ["ssh-ed25519 AAAA", "it is not PEM"],
    ];
    for (const [given, why] of cases) expect(() => parsePublicKey(given)).toThrow(why);
  });

  test("the older form for RSA is taken", async () => {
    const args = ["rsa", "-in", "rsa.key", "-RSAPublicKey_out", "-out", "pkcs1.pub"];
    await openssl(directory, ...args);
    expect(await pem("pkcs1.pub")).toContain("BEGIN RSA PUBLIC KEY");
    expect(
      parsePublicKey(await pem("pkcs1.pub")).key.equals(parsePublicKey(await pem("rsa.pub")).key),
    ).toBe(true);
  });
});

describe("private keys", () => {
  const protect = ["pkcs8", "-topk8", "-in", "p256.key", "-passout", "pass:secret", "-out"];
  const forms: readonly [string, readonly string[], string | null][] = [
    ["SEC 1", ["ec", "-in", "p256.key", "-out", "form.key"], null],
    ["PKCS #1", ["rsa", "-in", "rsa.key", "-traditional", "-out", "form.key"], null],
    ["PKCS #8 with a password", [...protect, "form.key"], "secret"],
    [
      "SEC 1 with a password",
      ["ec", "-in", "p256.key", "-aes256", "-passout", "pass:secret", "-out", "form.key"],
      "secret",
    ],
  ];
  test.each(forms)("%s is taken", async (_, args, password) => {
    await openssl(directory, ...args);
    const signer = parsePrivateKey(await pem("form.key"), password, "form.key");
    expect(isSignedBy(signer.publicKey, MESSAGE, signer.sign(MESSAGE))).toBe(true);
  });

  test("what is wrong with a key is said, with what to do, and without its content", async () => {
    await openssl(directory, ...protect, "locked.key");
    await openssl(directory, ...protect, "scrypt.key", "-scrypt");
    await openssl(directory, "genpkey", ...rsa(1024), "-out", "weak.key");
    const cosign =
      "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----";
    const cases: readonly [string, string | null, string, string][] = [
      [await pem("locked.key"), null, "it needs a password", "--password-file"],
      [await pem("locked.key"), "guess", "the password is wrong", "--password-file"],
      [
        await pem("scrypt.key"),
        "secret",
        "protected in a way that is not supported",
        "openssl pkcs8",
      ],
      [await pem("weak.key"), null, "RSA of 1024 bits", "openssl genpkey"],
      [await pem("p256.pub"), null, "it is no private key in PEM", "openssl genpkey"],
      ["nonsense", null, "it is no private key in PEM", "openssl genpkey"],
      [cosign, "secret", "in cosign's own encrypted form", "Sign with cosign itself"],
    ];
    for (const [given, password, why, hint] of cases) {
      const error = caught(() => parsePrivateKey(given, password, "my.key"));
      expect(error).toMatchObject({ code: "USAGE" });
      expect(describeError(error)).toStartWith("Cannot use the key my.key");
      expect(describeError(error)).toContain(why);
      expect(describeError(error)).not.toContain(given.slice(40, 60) || "never");
      expect(hintOf(error)).toContain(hint);
    }
  });
});

function caught(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("Nothing was thrown");
}
