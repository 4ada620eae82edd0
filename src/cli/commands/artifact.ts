// SPDX-License-Identifier: AGPL-3.0-or-later
import { arrayAt, at, stringAt } from "../../base/json.ts";
import { formatBytes } from "../../base/units.ts";
import { connect } from "../api-client.ts";
import { type Cli, type Command, command, group, print } from "../command.ts";
import { ownReference } from "../own-reference.ts";
import { formatTime, table } from "../table.ts";
import { archiveCommands } from "./artifact-archive.ts";
import { pullCommand } from "./artifact-pull.ts";
import { pushCommand } from "./artifact-push.ts";
import { showCommand } from "./artifact-show.ts";
import { signatureCommands } from "./artifact-sign.ts";

export function artifactCommand(cli: Cli): Command {
  return group("artifact", "images in the controller's registry", [
    pushCommand(cli),
    pullCommand(cli),
    ...signatureCommands(cli),
    listCommand(cli),
    showCommand(cli),
    removeCommand(cli),
    ...archiveCommands(cli),
  ]);
}

function listCommand(cli: Cli): Command {
  return command<{ prefix?: string; json?: boolean }>({
    command: "list [prefix]",
    describe: "all artifacts, or those whose names begin so",
    run: async ({ prefix = "", json }) => {
      const api = await connect(cli);
      const document = await api.call("GET", "/api/v1/artifacts");
      const artifacts = arrayAt(document, "artifacts").filter((artifact) =>
        nameIn(artifact).startsWith(prefix),
      );
      print(cli, json, { artifacts }, () =>
        table([["ARTIFACT", "DIGEST", "UPDATED", "SIZE"], ...artifacts.map(rowOf)]),
      );
    },
  });
}

const nameIn = (artifact: unknown) =>
  `${stringAt(artifact, "repository") ?? ""}:${stringAt(artifact, "tag") ?? ""}`;

function rowOf(artifact: unknown): string[] {
  const size = at(artifact, "size");
  return [
    nameIn(artifact),
    stringAt(artifact, "digest") ?? "",
    formatTime(at(artifact, "updated_at")),
    // An index has no content of its own.
    typeof size === "number" && size > 0 ? formatBytes(size) : "-",
  ];
}

function removeCommand(cli: Cli): Command {
  return command<{ reference: string; json?: boolean }>({
    command: "rm <reference>",
    describe: "delete a tag, or a manifest by digest",
    run: async (args) => {
      const { repository, digest, tag } = ownReference(args.reference);
      const name = digest === null ? `${repository}:${tag ?? "latest"}` : `${repository}@${digest}`;
      const api = await connect(cli);
      await api.call("DELETE", `/api/v1/artifacts/${name}`);
      print(cli, args.json, { removed: name }, () => `${name} removed`);
    },
  });
}
