// SPDX-License-Identifier: AGPL-3.0-or-later
import { arrayAt, at, stringAt } from "../../base/json.ts";
import { type Api, connect } from "../api-client.ts";
import { type Cli, type Command, command, print } from "../command.ts";
import { formatTime, table } from "../table.ts";

interface AuditArgs {
  repository?: string;
  identity?: string;
  limit: number;
  json?: boolean;
}

export function registryAuditCommand(cli: Cli): Command {
  return command<AuditArgs>({
    command: "audit",
    describe: "who did what in the registry, newest first",
    options: {
      repository: { type: "string", describe: "of this repository only" },
      identity: { type: "string", describe: "by this one only: user:ann, robot:ci" },
      limit: { type: "number", default: 50, describe: "so many events" },
    },
    run: async (args) => {
      const events = await readEvents(await connect(cli), args);
      print(cli, args.json, { events }, () =>
        table([["TIME", "WHO", "FROM", "ACTION", "OUTCOME", "WHAT"], ...events.map(toRow)]),
      );
    },
  });
}

async function readEvents(api: Api, args: AuditArgs): Promise<readonly unknown[]> {
  const events: unknown[] = [];
  let before: string | undefined;
  do {
    const query = new URLSearchParams({ limit: `${Math.min(args.limit - events.length, 1000)}` });
    if (args.repository !== undefined) query.set("repository", args.repository);
    if (args.identity !== undefined) query.set("identity", args.identity);
    if (before !== undefined) query.set("before", before);
    const page = await api.call("GET", `/api/v1/registry/audit?${query}`);
    events.push(...arrayAt(page, "events"));
    before = stringAt(page, "cursor");
  } while (before !== undefined && events.length < args.limit);
  return events;
}

function toRow(event: unknown): string[] {
  const text = (key: string) => stringAt(event, key) ?? "";
  const [repository, reference, digest] = [text("repository"), text("reference"), text("digest")];
  const name = reference || digest;
  const what =
    repository === "" || name === ""
      ? `${repository}${name}`
      : `${repository}${name.includes(":") ? "@" : ":"}${name}`;
  return [
    formatTime(at(event, "time")),
    text("identity"),
    text("address") || "-",
    text("action"),
    text("outcome"),
    [what, text("reason")].filter((part) => part !== "").join(": ") || "-",
  ];
}
