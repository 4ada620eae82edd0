// SPDX-License-Identifier: AGPL-3.0-or-later
import { rename, rm } from "node:fs/promises";
import { ProvError } from "../../base/errors.ts";
import { arrayAt, at, stringAt } from "../../base/json.ts";
import { formatBytes } from "../../base/units.ts";
import { openBlob, resolveArtifact } from "../../registry/client/pull.ts";
import { pushFile } from "../../registry/client/push.ts";
import { parseReference } from "../../registry/reference.ts";
import { type Api, connect } from "../api-client.ts";
import { type Cli, type Command, command, group, print } from "../command.ts";
import { onFile } from "../files.ts";
import { journalLog } from "../journal-log.ts";
import { formatTime, progressBar, table } from "../table.ts";
import { signatureCommands } from "./artifact-sign.ts";

interface PushArgs {
  file: string;
  reference: string;
  type: string;
  json?: boolean;
}
interface PullArgs {
  reference: string;
  file: string;
  json?: boolean;
}

export function artifactCommand(cli: Cli): Command {
  return group("artifact", "images in the controller's registry", [
    command<PushArgs>({
      command: "push <file> <reference>",
      describe: "store a file: push root.tar.zst os-images/debian:13",
      options: { type: { type: "string", default: "application/vnd.prov.rootfs.v1" } },
      run: (args) => push(cli, args),
    }),
    command<PullArgs>({
      command: "pull <reference> <file>",
      describe: "fetch an artifact's file",
      run: (args) => pull(cli, args),
    }),
    ...signatureCommands(cli, ownReference),
    command<{ json?: boolean }>({
      command: "list",
      describe: "all artifacts",
      run: (args) => list(cli, args.json),
    }),
    command<{ reference: string; json?: boolean }>({
      command: "rm <reference>",
      describe: "delete a tag, or a manifest by digest",
      run: async (args) => {
        const { repository, digest, tag } = ownReference(args.reference);
        const name =
          digest === null ? `${repository}:${tag ?? "latest"}` : `${repository}@${digest}`;
        const api = await connect(cli);
        await api.call("DELETE", `/api/v1/artifacts/${name}`);
        print(cli, args.json, { removed: name }, () => `${name} removed`);
      },
    }),
  ]);
}

/** These commands speak to the controller's registry; a host in the reference would be ignored. */
function ownReference(text: string) {
  const reference = parseReference(text);
  if (reference.registry === null) return reference;
  throw new ProvError(`Cannot use "${text}": name the artifact without a registry host`, {
    code: "USAGE",
    hint: "These commands speak to the controller of PROV_URL; for other registries use oras.",
  });
}

function showProgress(cli: Cli, what: string, done: number, total: number): void {
  if (!cli.terminal.isInteractive) return;
  cli.terminal.redraw(`${what}  ${progressBar(done, total, 30)}  ${formatBytes(done)}`);
}

async function push(cli: Cli, args: PushArgs): Promise<void> {
  const { repository, tag } = ownReference(args.reference);
  const api = await connect(cli);
  const target = {
    registry: api.url,
    repository,
    tag: tag ?? "latest",
    authorization: api.authorization,
    ca: api.ca,
  };
  const digest = await onFile("read", args.file, () =>
    pushFile(target, args.file, args.type, {
      fetch: cli.fetch,
      sleep: cli.sleep,
      now: cli.now,
      log: journalLog(cli.terminal),
      signal: cli.terminal.signal,
      onProgress: (phase, done, total) => showProgress(cli, phase, done, total),
    }),
  );
  const name = `${repository}:${target.tag}`;
  print(cli, args.json, { reference: name, digest }, () => `${name} ${digest}`);
}

async function pull(cli: Cli, args: PullArgs): Promise<void> {
  const { repository, reference } = ownReference(args.reference);
  const api = await connect(cli);
  const source = { registry: api.url, repository, reference, ...credentials(api) };
  const { signal } = cli.terminal;
  const { fetch, sleep, now } = cli;
  const deps = { fetch, sleep, now, log: journalLog(cli.terminal) };
  const { layer } = await resolveArtifact(source, deps, signal);
  const show = (done: number) => showProgress(cli, args.reference, done, layer.size);
  await onFile("write", args.file, () =>
    save(openBlob(source, layer, deps, signal), args.file, show),
  );
  const { digest, size } = layer;
  print(cli, args.json, { file: args.file, digest, size }, () => `${args.file} ${digest}`);
}

/** The file appears when it is whole and its digest was right, or not at all. */
async function save(
  stream: ReadableStream<Uint8Array>,
  path: string,
  onBytes: (done: number) => void,
): Promise<void> {
  const partial = `${path}.part`;
  try {
    const sink = Bun.file(partial).writer();
    let done = 0;
    for await (const chunk of stream) {
      sink.write(chunk);
      await sink.flush();
      done += chunk.length;
      onBytes(done);
    }
    await sink.end();
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

const credentials = (api: Api) => ({ authorization: api.authorization, ca: api.ca });

async function list(cli: Cli, json: boolean | undefined): Promise<void> {
  const api = await connect(cli);
  const document = await api.call("GET", "/api/v1/artifacts");
  print(cli, json, document, () =>
    table([
      ["ARTIFACT", "DIGEST", "UPDATED"],
      ...arrayAt(document, "artifacts").map((artifact) => [
        `${stringAt(artifact, "repository") ?? ""}:${stringAt(artifact, "tag") ?? ""}`,
        stringAt(artifact, "digest") ?? "",
        formatTime(at(artifact, "updated_at")),
      ]),
    ]),
  );
}
