// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { fetchManifest } from "../../registry/client/manifest-transfer.ts";
import { pushSignature, remoteReader } from "../../registry/client/signatures.ts";
import type { Reference } from "../../registry/reference.ts";
import { nameKeys } from "../../registry/signatures/claim.ts";
import { parsePrivateKey } from "../../registry/signatures/private-key.ts";
import { parsePublicKey } from "../../registry/signatures/public-key.ts";
import { describeRejected, verifyArtifact } from "../../registry/signatures/verify.ts";
import { reach } from "../api-client.ts";
import { type Cli, type Command, command, print } from "../command.ts";
import { nameOf, readSecret, readText } from "../files.ts";
import { journalLog } from "../journal-log.ts";
import { ownReference } from "../own-reference.ts";

interface SignArgs {
  reference: string;
  key: string;
  passwordFile?: string;
  json?: boolean;
}

interface VerifyArgs {
  reference: string;
  key: string[];
  json?: boolean;
}

export function signatureCommands(cli: Cli): readonly Command[] {
  return [
    command<SignArgs>({
      command: "sign <reference>",
      describe: "sign an artifact, as cosign would: sign os-images/debian:13 --key=prov.key",
      options: {
        key: { type: "string", demandOption: true, describe: "private key in PEM" },
        "password-file": {
          type: "string",
          describe: 'file that holds the key\'s password, "-" for stdin',
        },
      },
      run: (args) => sign(cli, args, ownReference(args.reference)),
    }),
    command<VerifyArgs>({
      command: "verify <reference>",
      describe: "say who signed an artifact; exit code 1 when nobody did",
      options: {
        key: {
          type: "string",
          array: true,
          nargs: 1,
          demandOption: true,
          describe: "public key in PEM; can be given several times",
        },
      },
      run: (args) => verify(cli, args, ownReference(args.reference)),
    }),
  ];
}

async function sign(cli: Cli, args: SignArgs, { repository, reference }: Reference): Promise<void> {
  const { terminal } = cli;
  const password =
    args.passwordFile === undefined ? null : await readSecret(args.passwordFile, terminal);
  const signer = parsePrivateKey(await readText(args.key, terminal), password, nameOf(args.key));
  const { target, deps } = await meet(cli, repository);
  const signed = await pushSignature(target, reference, signer, deps);
  print(cli, args.json, { repository, ...signed }, () =>
    [
      `${repository}@${signed.digest} signed: ${signed.signature}`,
      ...(signed.tag === null ? [NO_TAG] : []),
    ].join("\n"),
  );
}

const NO_TAG =
  "  It has no tag of its own here: prov finds it all the same, and cosign 2 with --experimental-oci11.";

async function verify(
  cli: Cli,
  args: VerifyArgs,
  { repository, reference }: Reference,
): Promise<void> {
  const keys = await readKeys(cli, args.key);
  const { target, deps } = await meet(cli, repository);
  const { digest } = await fetchManifest(target, reference, deps, deps.signal);
  const reader = remoteReader(target, deps, deps.signal);
  const { signedBy, rejected } = await verifyArtifact({ digest, keys }, reader);
  const name = `${repository}@${digest}`;
  if (signedBy.length === 0) {
    const who = nameKeys(Object.keys(keys));
    throw new ProvError(
      `Cannot verify ${name}: it is not signed by ${who}: ${describeRejected(rejected)}`,
      { code: "ARTIFACT_UNSIGNED" },
    );
  }
  const document = { repository, digest, signed_by: signedBy, rejected };
  print(cli, args.json, document, () => `${name} is signed by ${signedBy.join(", ")}`);
}

/** Keys by their files. @throws {ProvError} `USAGE` */
async function readKeys(cli: Cli, paths: readonly string[]): Promise<Record<string, string>> {
  const keys: Record<string, string> = {};
  for (const path of paths) {
    const pem = await readText(path, cli.terminal);
    try {
      parsePublicKey(pem);
    } catch (cause) {
      throw new ProvError(`Cannot use the key ${nameOf(path)}`, { code: "USAGE", cause });
    }
    keys[nameOf(path)] = pem;
  }
  return keys;
}

/** The controller's registry, and what it takes to speak to it. */
async function meet(cli: Cli, repository: string) {
  const { url, authorization, ca } = await reach(cli);
  const { fetch, sleep, now, terminal } = cli;
  return {
    target: { registry: url, repository, authorization, ca },
    deps: { fetch, sleep, now, log: journalLog(terminal), signal: terminal.signal },
  };
}
