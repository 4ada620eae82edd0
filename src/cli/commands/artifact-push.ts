// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { formatBytes } from "../../base/units.ts";
import { ARTIFACT_KINDS } from "../../registry/client/media-types.ts";
import { type PushFileDeps, pushFile } from "../../registry/client/push.ts";
import { ZSTD_LEVELS } from "../../registry/client/recompress.ts";
import { reach } from "../api-client.ts";
import { type Cli, type Command, command, print } from "../command.ts";
import { onFile } from "../files.ts";
import { clientDeps, ownReference, remoteOf } from "../own-reference.ts";
import { createProgress } from "../progress.ts";
import { uploadMemory } from "../upload-memory.ts";
import { findUnxz } from "../xz.ts";

interface PushArgs {
  file: string;
  reference: string;
  type?: string;
  zstd?: boolean;
  zstdLevel?: number;
  json?: boolean;
}

export function pushCommand(cli: Cli): Command {
  return command<PushArgs>({
    command: "push <file> <reference>",
    describe: "store a file: push root.tar.zst os-images/debian:13",
    options: {
      type: {
        type: "string",
        describe: `what it is: ${Object.keys(ARTIFACT_KINDS).join(", ")}, or a media type; told by its content otherwise`,
      },
      zstd: { type: "boolean", describe: "compress a tar with zstd on the way" },
      "zstd-level": {
        type: "number",
        describe: `how hard, ${ZSTD_LEVELS.least} to ${ZSTD_LEVELS.most}; ${ZSTD_LEVELS.default} otherwise`,
      },
    },
    run: (args) => push(cli, args),
  });
}

async function push(cli: Cli, args: PushArgs): Promise<void> {
  const { file: path, reference } = args;
  const { repository, tag, digest: pinned } = ownReference(reference);
  if (pinned !== null) {
    throw new ProvError(`Cannot push to "${reference}": a digest cannot be chosen`, {
      code: "USAGE",
      hint: "Name a tag: os-images/debian:13.",
    });
  }
  const artifactType = artifactTypeOf(args.type);
  const zstdLevel = zstdLevelOf(args);
  const api = await reach(cli);
  const { env, signal } = cli.terminal;
  const target = { ...remoteOf(api, repository), tag: tag ?? "latest" };
  const memory = uploadMemory(cli);
  const show = createProgress(cli);
  let isSending = false;
  const deps: PushFileDeps = {
    ...clientDeps(cli),
    signal,
    unxz: findUnxz(env.PATH),
    onProgress(phase, done, total) {
      isSending = phase === "sending";
      show(phase, done, total);
    },
    ...(memory !== undefined && { memory }),
  };
  const pushed = await onFile("read", path, () =>
    pushFile(target, { path, artifactType, zstdLevel }, deps),
  ).catch((error: unknown) => {
    const isKept = signal.aborted && isSending && memory !== undefined;
    if (isKept) cli.terminal.err(`${path} is not all there yet: the same command goes on with it`);
    throw error;
  });
  const { digest, layer } = pushed;
  const name = `${repository}:${target.tag}`;
  const document = {
    reference: name,
    digest,
    artifact_type: pushed.artifactType,
    layer: {
      title: layer.title,
      media_type: layer.mediaType,
      digest: layer.digest,
      size: layer.size,
    },
  };
  if (args.json !== true && zstdLevel !== undefined) {
    cli.terminal.err(`${path} went as ${layer.title}, ${formatBytes(layer.size)}`);
  }
  print(cli, args.json, document, () => `${name} ${digest}`);
}

/** @throws {ProvError} `USAGE` */
function artifactTypeOf(text: string | undefined): string | undefined {
  const kind = Object.entries(ARTIFACT_KINDS).find(([name]) => name === text)?.[1];
  if (kind !== undefined) return kind.artifactType;
  // RFC 6838, section 4.2: a type and a subtype.
  if (text === undefined || /^[\w.+-]+\/[\w.+-]+$/.test(text)) return text;
  throw new ProvError(`Cannot use --type=${text}: it is no media type`, {
    code: "USAGE",
    hint: `Use ${Object.keys(ARTIFACT_KINDS).join(", ")}, or a media type such as application/x-firmware.`,
  });
}

/** @throws {ProvError} `USAGE` */
function zstdLevelOf({ zstd, zstdLevel }: PushArgs): number | undefined {
  if (zstdLevel === undefined) return zstd === true ? ZSTD_LEVELS.default : undefined;
  const { least, most } = ZSTD_LEVELS;
  if (Number.isInteger(zstdLevel) && zstdLevel >= least && zstdLevel <= most) return zstdLevel;
  throw new ProvError(`Cannot use --zstd-level=${zstdLevel}: levels are ${least} to ${most}`, {
    code: "USAGE",
  });
}
