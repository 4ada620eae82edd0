// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * Signatures between the built prov and others: openssl makes the keys, skopeo verifies what prov signed
 * (by the library that podman and CRI-O have, with sigstore's own verification in it) and prov what skopeo
 * signed.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runClient } from "../helpers/clients.ts";
import { BINARY, ISO } from "./site.ts";
import { Controller, expectProgram, freePort } from "./world.ts";

const NAME = "os-images/tool";
const SECRET = "correct horse";

let work: string;
let controller: Controller;
let host: string;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "prov-signatures-"));
  const port = freePort();
  host = `127.0.0.1:${port}`;
  const publicUrls = [`http://${host}`];
  const flags = ["--worker-concurrency=0"];
  await mkdir(join(work, "site"));
  const world = { binary: BINARY, iso: ISO, directory: join(work, "site") };
  controller = new Controller(world, { port, publicUrls, flags });
  await controller.start();
  await Bun.write(join(work, "secret"), SECRET);
  await Bun.write(join(work, "root.tar"), "a root file system");
  await mkdir(join(work, "registries.d"));
  const lookaside = `docker:\n  ${host}:\n    use-sigstore-attachments: true\n`;
  await Bun.write(join(work, "registries.d/prov.yaml"), lookaside);
}, 600_000);

afterAll(async () => {
  await controller.stop();
  await rm(work, { recursive: true, force: true });
});

const file = (name: string) => join(work, name);
const openssl = (...args: string[]) => expectProgram(["openssl", ...args]);

async function prov(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await controller.prov(...args);
  return code === 0 ? stdout : `exit ${code}: ${stderr}`;
}

/** An artifact of its own. @returns its reference. */
async function push(tag: string): Promise<string> {
  await Bun.write(file("root.tar"), `a root file system ${tag}`);
  const reference = `${NAME}:${tag}`;
  expect(await prov("artifact", "push", file("root.tar"), reference)).toContain("sha256:");
  return reference;
}

const skopeo = (...argv: string[]) =>
  runClient(["skopeo", `--registries.d=${file("registries.d")}`, ...argv], { directory: work });

const credentials = (end: "src" | "dest") => [
  `--${end}-tls-verify=false`,
  `--${end}-creds=admin:${controller.env.PROV_PASSWORD}`,
];

/** skopeo copies what the policy lets it copy. @throws {Error} with its reason when that is nothing. */
async function copyIfSignedBy(key: string, tag: string): Promise<void> {
  const signedIdentity = { type: "matchRepository" };
  const rule = { type: "sigstoreSigned", keyPath: file(key), signedIdentity };
  const transports = { docker: { [`${host}/${NAME}`]: [rule] } };
  const policy = { default: [{ type: "reject" }], transports };
  await Bun.write(file("policy.json"), JSON.stringify(policy));
  const from = `docker://${host}/${NAME}:${tag}`;
  const to = `dir:${file(`copy-${tag}`)}`;
  await skopeo(`--policy=${file("policy.json")}`, "copy", ...credentials("src"), from, to);
}

const EC = ["-algorithm", "EC", "-pkeyopt"];
test.each([
  ["p256", [...EC, "ec_paramgen_curve:P-256"]],
  ["p384", [...EC, "ec_paramgen_curve:P-384"]],
  ["ed25519", ["-algorithm", "ed25519"]],
  ["rsa", ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]],
])(
  "skopeo verifies what prov signed with a key of openssl's: %s",
  async (kind, options) => {
    const [key, pub] = [file(`${kind}.key`), file(`${kind}.pub`)];
    await openssl("genpkey", ...options, "-aes256", "-pass", `file:${file("secret")}`, "-out", key);
    await openssl("pkey", "-in", key, "-passin", `file:${file("secret")}`, "-pubout", "-out", pub);
    const reference = await push(kind);
    await expect(copyIfSignedBy(`${kind}.pub`, kind)).rejects.toThrow(
      "A signature was required, but no signature exists",
    );
    const password = `--password-file=${file("secret")}`;
    expect(await prov("artifact", "sign", reference, `--key=${key}`, password)).toContain(
      "signed:",
    );
    await copyIfSignedBy(`${kind}.pub`, kind);
    expect(await prov("artifact", "verify", reference, `--key=${pub}`)).toEndWith(
      `is signed by ${pub}\n`,
    );
  },
  120_000,
);

test("prov verifies what skopeo signed, and adds to it", async () => {
  const reference = await push("skopeo");
  const key = ["--output-prefix=skopeo", `--passphrase-file=${file("secret")}`];
  await skopeo("generate-sigstore-key", ...key);
  const sign = [
    ...["--insecure-policy", "copy", ...credentials("src"), ...credentials("dest")],
    ...[
      "--sign-by-sigstore-private-key=skopeo.private",
      `--sign-passphrase-file=${file("secret")}`,
    ],
  ];
  const at = `docker://${host}/${NAME}:skopeo`;
  await skopeo(...sign, at, at);
  const theirs = `--key=${file("skopeo.pub")}`;
  expect(await prov("artifact", "verify", reference, theirs)).toEndWith("skopeo.pub\n");

  await openssl("genpkey", ...EC, "ec_paramgen_curve:P-256", "-out", file("ours.key"));
  await openssl("pkey", "-in", file("ours.key"), "-pubout", "-out", file("ours.pub"));
  const ours = `--key=${file("ours.pub")}`;
  expect(await prov("artifact", "verify", reference, ours)).toStartWith("exit 1: ");
  await prov("artifact", "sign", reference, `--key=${file("ours.key")}`);
  expect(await prov("artifact", "verify", reference, theirs, ours)).toEndWith(
    `is signed by ${file("ours.pub")}, ${file("skopeo.pub")}\n`,
  );
  for (const pub of ["ours.pub", "skopeo.pub"]) await copyIfSignedBy(pub, "skopeo");

  const locked = await prov("artifact", "sign", reference, `--key=${file("skopeo.private")}`);
  expect(locked).toStartWith("exit 2: ");
  expect(locked).toContain("it is in cosign's own encrypted form");
}, 120_000);
