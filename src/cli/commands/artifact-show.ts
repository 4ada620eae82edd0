// SPDX-License-Identifier: AGPL-3.0-or-later
import { formatBytes } from "../../base/units.ts";
import { type Description, describeArtifact } from "../../registry/client/describe.ts";
import { nameOf } from "../../registry/client/remote.ts";
import type { Descriptor } from "../../registry/manifest.ts";
import { reach } from "../api-client.ts";
import { type Cli, type Command, command, print } from "../command.ts";
import { clientDeps, ownReference, remoteOf } from "../own-reference.ts";
import { lines, table } from "../table.ts";

export function showCommand(cli: Cli): Command {
  return command<{ reference: string; json?: boolean }>({
    command: "show <reference>",
    describe: "what an artifact is made of, and what refers to it",
    run: async (args) => {
      const { repository, reference } = ownReference(args.reference);
      const source = remoteOf(await reach(cli), repository);
      const found = await describeArtifact(source, reference, clientDeps(cli), cli.terminal.signal);
      const name = nameOf(source, reference);
      print(cli, args.json, toDocument(name, found), () => render(name, found));
    },
  });
}

const TITLE = "org.opencontainers.image.title";
const CREATED = "org.opencontainers.image.created";

function toDocument(name: string, found: Description) {
  return {
    reference: name,
    digest: found.digest,
    media_type: found.mediaType,
    artifact_type: found.artifactType ?? null,
    created: found.annotations[CREATED] ?? null,
    size: found.size,
    layers: found.layers.map((layer) => ({
      title: layer.annotations[TITLE] ?? null,
      ...toDescriptor(layer),
      annotations: layer.annotations,
    })),
    manifests: found.manifests.map(toDescriptor),
    annotations: found.annotations,
    tags: found.tags,
    referrers: found.referrers.map(({ digest, artifactType, size }) => ({
      digest,
      artifact_type: artifactType ?? null,
      size,
    })),
  };
}

const toDescriptor = ({ mediaType, digest, size }: Descriptor) => ({
  media_type: mediaType,
  digest,
  size,
});

function render(name: string, found: Description): string {
  const { layers, manifests, annotations, referrers, tags } = found;
  const head = lines({
    artifact: name,
    digest: found.digest,
    type: found.artifactType ?? found.mediaType,
    size: formatBytes(found.size),
    created: annotations[CREATED],
    tags: tags?.join(", "),
  });
  const parts = [
    rows(
      ["LAYER", "MEDIA TYPE", "SIZE", "DIGEST"],
      layers.map((layer) => [
        layer.annotations[TITLE] ?? "-",
        layer.mediaType,
        formatBytes(layer.size),
        layer.digest,
      ]),
    ),
    rows(
      ["MANIFEST", "MEDIA TYPE", "SIZE"],
      manifests.map(({ digest, mediaType, size }) => [digest, mediaType, formatBytes(size)]),
    ),
    rows(["ANNOTATION", "VALUE"], Object.entries(annotations)),
    rows(
      ["REFERRER", "TYPE"],
      referrers.map(({ digest, artifactType }) => [digest, artifactType ?? "-"]),
    ),
  ];
  return [head, ...parts.filter((part) => part !== "")].join("\n\n");
}

/** A table; nothing where there is nothing in it. */
function rows(heading: readonly string[], body: readonly (readonly string[])[]): string {
  return body.length === 0 ? "" : table([heading, ...body]);
}
