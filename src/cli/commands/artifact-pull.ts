// SPDX-License-Identifier: AGPL-3.0-or-later
import { existsSync } from "node:fs";
import { mkdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ProvError } from "../../base/errors.ts";
import { formatBytes } from "../../base/units.ts";
import {
  type ArtifactSource,
  type Layer,
  resolveArtifact,
  resolveLayers,
} from "../../registry/client/pull.ts";
import { reach } from "../api-client.ts";
import { type Cli, type Command, command, print } from "../command.ts";
import { download } from "../download.ts";
import { onFile, STDIN } from "../files.ts";
import { clientDeps, ownReference, remoteOf } from "../own-reference.ts";
import { createProgress } from "../progress.ts";
import { unpackDirectory } from "../unpack-directory.ts";

interface PullArgs {
  reference: string;
  file: string;
  all?: boolean;
  json?: boolean;
}

export function pullCommand(cli: Cli): Command {
  return command<PullArgs>({
    command: "pull <reference> <file>",
    describe: "fetch an artifact's file, into a directory under its own name",
    options: {
      all: { type: "boolean", describe: "all of its files, into a directory that is made" },
    },
    run: (args) => pull(cli, args),
  });
}

async function pull(cli: Cli, args: PullArgs): Promise<void> {
  const { repository, reference } = ownReference(args.reference);
  if (args.file === STDIN) {
    throw new ProvError("Cannot pull to standard output: an interrupted pull could not go on", {
      code: "USAGE",
      hint: "Name a file or a directory.",
    });
  }
  const source = { ...remoteOf(await reach(cli), repository), reference };
  const pulled = await (args.all === true ? pullAll : pullOne)(cli, source, args.file);
  const [first] = pulled;
  const document = args.all === true ? { files: pulled } : first;
  print(cli, args.json, document, () =>
    pulled.map(({ file, digest }) => `${file} ${digest}`).join("\n"),
  );
}

interface Pulled {
  readonly file: string;
  readonly digest: string;
  readonly size: number;
}

async function pullOne(cli: Cli, source: ArtifactSource, file: string): Promise<Pulled[]> {
  const { layer } = await resolveArtifact(source, clientDeps(cli), cli.terminal.signal);
  const path = (await isDirectory(file)) ? join(file, nameFor(layer, source)) : file;
  await fetchLayer(cli, source, layer, path);
  return [{ file: path, digest: layer.digest, size: layer.size }];
}

async function pullAll(cli: Cli, source: ArtifactSource, directory: string): Promise<Pulled[]> {
  const { layers } = await resolveLayers(source, clientDeps(cli), cli.terminal.signal);
  const files = layers.map((layer) => ({
    layer,
    path: join(directory, nameFor(layer, source)),
  }));
  requireDistinct(files.flatMap(({ layer, path }) => namesOf(layer, path)));
  await onFile("write", directory, () => mkdir(directory, { recursive: true }));
  const pulled: Pulled[] = [];
  for (const { layer, path } of files) {
    const file = layer.isDirectory
      ? await fetchDirectory(cli, source, layer, path)
      : await fetchLayer(cli, source, layer, path);
    pulled.push({ file, digest: layer.digest, size: layer.size });
  }
  return pulled;
}

async function fetchLayer(
  cli: Cli,
  source: ArtifactSource,
  layer: Layer,
  path: string,
): Promise<string> {
  const show = createProgress(cli);
  const { signal } = cli.terminal;
  const onProgress = (phase: string, done: number) =>
    show(`${phase} ${basename(path)}`, done, layer.size);
  try {
    await onFile("write", path, () =>
      download({ source, blob: layer, path, signal, onProgress }, clientDeps(cli)),
    );
  } catch (error) {
    const kept = await stat(`${path}.part`).catch(() => undefined);
    const isOurs = !(error instanceof ProvError && error.code === "CONFLICT");
    if (kept !== undefined && isOurs) {
      cli.terminal.err(
        `${path}.part has ${formatBytes(kept.size)} of ${formatBytes(layer.size)}: the same command goes on with it`,
      );
    }
    throw error;
  }
  return path;
}

async function fetchDirectory(
  cli: Cli,
  source: ArtifactSource,
  layer: Layer,
  path: string,
): Promise<string> {
  if (existsSync(path)) {
    throw new ProvError(`Cannot unpack ${path}: something else is there`, {
      code: "USAGE",
      hint: "Pull into another directory.",
    });
  }
  const tarball = tarballOf(layer, path);
  await fetchLayer(cli, source, layer, tarball);
  await onFile("write", path, () => unpackDirectory(tarball, path)).finally(() => rm(tarball));
  return path;
}

/** Where a directory's tar waits to be unpacked: not where anybody keeps a file. */
function tarballOf({ digest }: Layer, path: string): string {
  return join(dirname(path), `.prov-${digest.slice(-16)}.tar`);
}

/** Every name that is written on the way to `path`. */
function namesOf(layer: Layer, path: string): string[] {
  const file = layer.isDirectory ? tarballOf(layer, path) : path;
  return [path, `${file}.part`];
}

/**
 * What a file is called that its artifact names. Titles are whatever somebody has pushed: only the last
 * part of one is taken, and never a name that is no name.
 */
function nameFor({ title = "", digest }: Layer, { repository, reference }: ArtifactSource): string {
  const name = title.split(/[/\\]/).findLast((part) => part !== "") ?? "";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (name !== "" && name !== "." && name !== ".." && !/[\u0000-\u001f\u007f]/.test(name)) {
    return name;
  }
  const tail = reference.includes(":") ? digest.slice(-12) : reference;
  return `${basename(repository)}-${tail}`;
}

function requireDistinct(paths: readonly string[]): void {
  const twice = paths.find((path, i) => paths.indexOf(path) !== i);
  if (twice === undefined) return;
  throw new ProvError(`Cannot pull all files: several need the name ${twice}`, {
    code: "ARTIFACT_INVALID",
    hint: "Use oras, which keeps the folders of their names.",
  });
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}
