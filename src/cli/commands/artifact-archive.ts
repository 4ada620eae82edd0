// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * `prov artifact export | import`: artifacts across an air gap, in an OCI archive. What the archive is and
 * how it is read lies in `registry/archive/`.
 */
import { ProvError } from "../../base/errors.ts";
import { arrayAt, stringAt } from "../../base/json.ts";
import { formatBytes } from "../../base/units.ts";
import { openArchive } from "../../registry/archive/archive-file.ts";
import { nameOfArtifact, subjectOfTag } from "../../registry/archive/archive-index.ts";
import { parseInto } from "../../registry/archive/archive-names.ts";
import { planArchive } from "../../registry/archive/archive-plan.ts";
import { collect, type Wanted } from "../../registry/archive/collect.ts";
import {
  executeImport,
  type Imported,
  onlyLooking,
} from "../../registry/archive/import-archive.ts";
import { keyIdOf, signIndex } from "../../registry/archive/index-signature.ts";
import { type PreparedImport, prepareImport } from "../../registry/archive/prepare-import.ts";
import { exportSource, importTarget } from "../../registry/archive/registry-doors.ts";
import { writeArchive } from "../../registry/archive/write-archive.ts";
import { fits } from "../../registry/policy/policy.ts";
import { parsePrivateKey, type Signer } from "../../registry/signatures/private-key.ts";
import { type PublicKey, parsePublicKey } from "../../registry/signatures/public-key.ts";
import { type Api, reach } from "../api-client.ts";
import { type Cli, type Command, command, print } from "../command.ts";
import { nameOf, onFile, readSecret, readText } from "../files.ts";
import { clientDeps, ownReference } from "../own-reference.ts";
import { createProgress } from "../progress.ts";
import { uploadMemory } from "../upload-memory.ts";

interface ExportArgs {
  references: string[];
  output: string;
  signKey?: string;
  passwordFile?: string;
  referrers: boolean;
  json?: boolean;
}
interface ImportArgs {
  file: string;
  verifyKey?: string;
  into?: string;
  only?: string;
  dryRun?: boolean;
  json?: boolean;
}

export function archiveCommands(cli: Cli): readonly Command[] {
  return [
    command<ExportArgs>({
      command: "export <references..>",
      describe: "write artifacts to an OCI archive: export 'os-images/**' --output=images.tar",
      options: {
        output: { type: "string", demandOption: true, describe: "the archive's file" },
        "sign-key": { type: "string", describe: "private key in PEM that signs it" },
        "password-file": {
          type: "string",
          describe: 'file that holds the key\'s password, "-" for stdin',
        },
        referrers: {
          type: "boolean",
          default: true,
          describe: "with signatures and SBOMs (--no-referrers: without)",
        },
      },
      run: (args) => exportArtifacts(cli, args),
    }),
    command<ImportArgs>({
      command: "import <file>",
      describe: "store what is in an OCI archive, or in the directory of an image layout",
      options: {
        "verify-key": { type: "string", describe: "public key in PEM that must have signed it" },
        into: { type: "string", describe: "repository before its names, or for what has none" },
        only: { type: "string", describe: "glob of its repositories, or of repository:tag" },
        "dry-run": { type: "boolean", describe: "say what would be stored" },
      },
      run: (args) => importArtifacts(cli, args),
    }),
  ];
}

async function exportArtifacts(cli: Cli, args: ExportArgs): Promise<void> {
  const { output } = args;
  const { signal } = cli.terminal;
  const signer = args.signKey === undefined ? null : await readSigner(cli, args.signKey, args);
  const api = await reach(cli);
  const source = exportSource(siteOf(api), { ...clientDeps(cli), signal });
  const wanted = await expand(api, args);
  const collection = await collect(wanted, source, args.referrers);
  const plan = planArchive(collection, signer && ((index) => signIndex(index, signer)));
  const { resumedAt, discarded } = await onFile("write", output, () =>
    writeArchive(plan, output, { ...source, onProgress: createProgress(cli), signal }),
  ).catch((error: unknown) => {
    if (signal.aborted) cli.terminal.err(`${output}.part stays: the same command goes on with it`);
    throw error;
  });
  const { artifacts, blobs, absent } = collection;
  warnOfAbsent(cli, absent);
  if (discarded > NOTABLE_BYTES) {
    const bytes = formatBytes(discarded);
    cli.terminal.err(`${output}.part had ${bytes} of other artifacts, or damaged: written anew`);
  }
  const made = {
    file: output,
    size: plan.size,
    artifacts: artifacts.map(nameOfArtifact).sort(),
    blobs: blobs.size,
    absent,
    signed_by: signer && keyIdOf(signer.publicKey),
    resumed_at: resumedAt,
  };
  print(cli, args.json, made, () =>
    [
      `${output}: ${count(artifacts.length, "artifact")}, ${count(blobs.size, "blob")}`,
      formatBytes(plan.size),
      ...(resumedAt > 0 ? [`${formatBytes(resumedAt)} were there`] : []),
      ...(made.signed_by === null ? [] : [`signed by ${made.signed_by}`]),
    ].join(", "),
  );
}

/** Less is the signature at the end, or a block that was cut. */
const NOTABLE_BYTES = 64 * 1024;

/** Globs are over what the registry has; anything else is taken by its word. */
async function expand(
  api: Api,
  { references, referrers: withReferrers }: ExportArgs,
): Promise<readonly Wanted[]> {
  const isGlob = (text: string) => /[*?[\]{}!]/.test(text);
  const plain = references.filter((text) => !isGlob(text)).map(ownReference);
  const globs = references.filter(isGlob);
  if (globs.length === 0) return plain;
  const all = arrayAt(await api.call("GET", "/api/v1/artifacts"), "artifacts").map((artifact) => ({
    repository: stringAt(artifact, "repository") ?? "",
    reference: stringAt(artifact, "tag") ?? "",
  }));
  const found = globs.flatMap((glob) => {
    const [repositories = "", tags = "*"] = glob.split(":");
    const fitting = all.filter(
      ({ repository, reference }) => fits(repositories, repository) && fits(tags, reference),
    );
    if (fitting.length > 0) return fitting;
    throw new ProvError(`Cannot export "${glob}": no artifact fits`, {
      code: "USAGE",
      hint: "`prov artifact list` shows what there is.",
    });
  });
  const isOwn = ({ reference }: Wanted) => subjectOfTag(reference) === undefined;
  return [...plain, ...found.filter((each) => withReferrers || isOwn(each))];
}

async function importArtifacts(cli: Cli, args: ImportArgs): Promise<void> {
  const key = args.verifyKey === undefined ? null : await readVerifier(cli, args.verifyKey);
  const into = args.into === undefined ? null : parseInto(args.into);
  const archive = await onFile("read", args.file, () => openArchive(args.file));
  const prepared = await prepareImport(archive, { key, into, only: args.only ?? null });
  warnOfAbsent(cli, prepared.absent);
  if (key === null && prepared.keyId !== undefined) {
    cli.terminal.err(
      `${args.file} is signed by ${prepared.keyId}; nobody checked that (--verify-key)`,
    );
  }
  const { signal } = cli.terminal;
  const memory = uploadMemory(cli);
  const deps = { ...clientDeps(cli), signal, ...(memory !== undefined && { memory }) };
  const site = importTarget(siteOf(await reach(cli)), deps);
  const isDry = args.dryRun === true;
  const show = createProgress(cli);
  const done = await executeImport(prepared.steps, archive, isDry ? onlyLooking(site) : site, {
    onProgress: (at, total) => show(isDry ? "looking" : "sending", at, total),
    signal,
  });
  const document = {
    artifacts: prepared.artifacts.map(nameOfArtifact).sort(),
    blobs: { sent: done.blobsSent, bytes: done.bytesSent, present: done.blobsPresent },
    tags: { set: done.tagsSet, moved: done.tagsMoved },
    absent: prepared.absent,
    signed_by: prepared.keyId ?? null,
    verified: key !== null,
    dry_run: isDry,
  };
  print(cli, args.json, document, () => renderImport(prepared, done, isDry));
}

function renderImport({ artifacts }: PreparedImport, done: Imported, isDry: boolean): string {
  return [
    `${count(artifacts.length, "artifact")}: ${count(done.blobsSent, "blob")} ${isDry ? "to send" : "sent"}`,
    formatBytes(done.bytesSent),
    `${done.blobsPresent} already there`,
    `${count(done.tagsSet, "tag")} ${isDry ? "to set" : "set"}`,
    ...(done.tagsMoved > 0 ? [`${done.tagsMoved} of them moved`] : []),
  ].join(", ");
}

async function readSigner(
  { terminal }: Cli,
  path: string,
  { passwordFile }: ExportArgs,
): Promise<Signer> {
  const password = passwordFile === undefined ? null : await readSecret(passwordFile, terminal);
  return parsePrivateKey(await readText(path, terminal), password, nameOf(path));
}

async function readVerifier({ terminal }: Cli, path: string): Promise<PublicKey> {
  const pem = await readText(path, terminal);
  try {
    return parsePublicKey(pem);
  } catch (cause) {
    throw new ProvError(`Cannot use the key ${nameOf(path)}`, { code: "USAGE", cause });
  }
}

const siteOf = ({ url, authorization, ca }: Api) => ({ registry: url, authorization, ca });

function warnOfAbsent(cli: Cli, absent: readonly string[]): void {
  if (absent.length === 0) return;
  cli.terminal.err(`warning: ${count(absent.length, "part")} of an index left out: not there`);
}

const count = (n: number, thing: string) => `${n} ${thing}${n === 1 ? "" : "s"}`;
