// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { digestOf } from "../../src/registry/digest.ts";
import { ecKey } from "../registry/signatures/keys.ts";
import { attach, simple } from "../registry/signatures/signed.ts";
import { World } from "./world.ts";

const PASSWORD = "CANARY-key-password";

/** A world with an artifact and keys of which the first has a password. */
async function open() {
  const world = await World.open();
  const root = await world.file("root.tar", "root");
  const pushed = await world.run(`artifact push ${root} os-images/debian:13`);
  const digest = pushed.out.split(" ")[1] ?? "";
  const pair = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: {
      type: "pkcs8",
      format: "pem",
      cipher: "aes-256-cbc",
      passphrase: PASSWORD,
    },
  });
  const other = ecKey();
  return {
    world,
    digest,
    name: `os-images/debian@${digest}`,
    key: await world.file("release.key", pair.privateKey),
    pub: await world.file("release.pub", pair.publicKey),
    password: await world.file("password", `${PASSWORD}\n`),
    otherKey: await world.file("other.key", other.pem),
    otherPub: await world.file("other.pub", other.publicPem),
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}

test("an artifact is signed, and it is said by whom", async () => {
  await using site = await open();
  const { world, name, digest, key, pub, password, otherKey, otherPub } = site;
  const before = await world.run(`artifact verify os-images/debian:13 --key=${pub}`);
  expect(before).toEqual({
    code: 1,
    out: "",
    err: `prov: Cannot verify ${name}: it is not signed by the key ${pub}: it has no signatures`,
  });

  const words = `artifact sign os-images/debian:13 --key=${key}`;
  const signed = await world.run(`${words} --password-file=${password}`);
  expect(signed).toMatchObject({ code: 0, err: "" });
  expect(signed.out).toMatch(new RegExp(`^${name} signed: sha256:[0-9a-f]{64}$`));
  const piped = await world.run(`${words} --password-file=- --json`, { stdin: `${PASSWORD}\n` });
  expect(JSON.parse(piped.out)).toEqual({
    repository: "os-images/debian",
    digest,
    signature: expect.stringMatching(/^sha256:/),
    tag: `${digest.replace(":", "-")}.sig`,
  });

  for (const reference of ["os-images/debian:13", name]) {
    const verified = await world.run(`artifact verify ${reference} --key=${otherPub} --key=${pub}`);
    expect(verified).toEqual({ code: 0, out: `${name} is signed by ${pub}`, err: "" });
  }
  const both = await world.run(`artifact sign ${name} --key=${otherKey}`);
  expect(both.code).toBe(0);
  const json = await world.run(`artifact verify ${name} --key=${pub} --key=${otherPub} --json`);
  expect(JSON.parse(json.out)).toEqual({
    repository: "os-images/debian",
    digest,
    signed_by: [otherPub, pub].sort(),
    rejected: [],
  });
  expect(world.printed).not.toContain("CANARY");
});

test("a signature is seen beside any number of others that somebody has put there", async () => {
  await using site = await open();
  const { world, digest, name, otherKey, otherPub } = site;
  const junk = Array.from({ length: 40 }, () => simple(digestOf("elsewhere"), ecKey()));
  const ask = (method: string, path: string, init: RequestInit = {}) => {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Basic ${btoa("operator:operator")}`);
    return world.fetch(`http://10.0.0.1:8080/v2/${path}`, { ...init, method, headers });
  };
  await attach({ ask }, junk, { tag: `${digest.replace(":", "-")}.sig` });
  expect((await world.run(`artifact sign ${name} --key=${otherKey}`)).code).toBe(0);
  expect(await world.run(`artifact verify ${name} --key=${otherPub}`)).toMatchObject({ code: 0 });
});

test("who did not sign is told why it does not count", async () => {
  await using site = await open();
  const { world, name, otherKey, pub } = site;
  await world.run(`artifact sign ${name} --key=${otherKey}`);
  const ran = await world.run(`artifact verify ${name} --key=${pub}`);
  expect(ran.code).toBe(1);
  expect(ran.err).toMatch(
    /: sha256:[0-9a-f]{64}: it was not made by the key .*release\.pub, or has/,
  );
});

test("nobody signs who may not push (exit code 6)", async () => {
  await using site = await open();
  const { world, name, otherKey } = site;
  const readers = await world.run(`artifact sign ${name} --key=${otherKey}`, { as: "reader" });
  expect(readers.code).toBe(6);
  expect(readers.err).toContain("the credentials do not allow it");
});

test("what is wrong with a key is said (exit code 2)", async () => {
  await using site = await open();
  const { world, key, pub, otherKey } = site;
  const cases: readonly (readonly [string, RegExp])[] = [
    [`sign os-images/debian:13 --key=${key}`, /it needs a password/],
    [`sign os-images/debian:13 --key=${pub}`, /it is no private key in PEM/],
    ["sign os-images/debian:13 --key=/nonexistent", /there is no such file/],
    [`verify os-images/debian:13 --key=${otherKey}`, /it is a private key: give its public key/],
    ["sign os-images/debian:13", /key/],
    [`sign docker.io/debian:13 --key=${otherKey}`, /without a registry host/],
  ];
  for (const [words, err] of cases) {
    const ran = await world.run(`artifact ${words}`);
    expect([words, ran.code]).toEqual([words, 2]);
    expect(ran.err).toMatch(err);
  }
});
