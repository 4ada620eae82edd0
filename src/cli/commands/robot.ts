// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { arrayAt, at, stringAt } from "../../base/json.ts";
import { connect } from "../api-client.ts";
import { type Cli, type Command, command, group, print } from "../command.ts";
import { formatTime, table } from "../table.ts";

interface AddArgs {
  name: string;
  allow: string[];
  expires?: string;
  json?: boolean;
}
interface NameArgs {
  name: string;
  json?: boolean;
}

export function robotCommand(cli: Cli): Command {
  return group("robot", "programs that use the registry", [
    command<AddArgs>({
      command: "add <name>",
      describe: "add a robot and print its token, this once",
      options: {
        allow: {
          type: "string",
          array: true,
          demandOption: true,
          describe: "what it may do where: os-images/**:pull,push",
        },
        expires: { type: "string", describe: "after so long: 90d, 12h" },
      },
      run: async (args) => {
        const grants = args.allow.map(parseAllow);
        const expires_at = args.expires === undefined ? null : after(args.expires, cli.now());
        const api = await connect(cli);
        const body = { name: args.name, grants, expires_at };
        showToken(cli, args.json, await api.call("POST", "/api/v1/robots", body));
      },
    }),
    command<{ json?: boolean }>({
      command: "list",
      describe: "all robots",
      run: (args) => list(cli, args.json),
    }),
    command<NameArgs>({
      command: "rotate <name>",
      describe: "print a new token for a robot; its old one is void at once",
      run: async ({ name, json }) => {
        const api = await connect(cli);
        const path = `/api/v1/robots/${encodeURIComponent(name)}/rotate`;
        showToken(cli, json, await api.call("POST", path));
      },
    }),
    command<NameArgs>({
      command: "rm <name>",
      describe: "remove a robot",
      run: async ({ name, json }) => {
        const api = await connect(cli);
        await api.call("DELETE", `/api/v1/robots/${encodeURIComponent(name)}`);
        print(cli, json, { removed: name }, () => `${name} removed`);
      },
    }),
  ]);
}

/** `os-images/**:pull,push`. @throws {ProvError} `USAGE` */
function parseAllow(text: string) {
  const [, repositories, actions] = /^([^:]+):([a-z,]+)$/.exec(text) ?? [];
  if (repositories !== undefined && actions !== undefined) {
    return { repositories, actions: actions.split(",") };
  }
  throw new ProvError(`Cannot use --allow="${text}"`, {
    code: "USAGE",
    hint: "Write repositories and actions: --allow='os-images/**:pull,push'.",
  });
}

/** `90d`, `12h`. @throws {ProvError} `USAGE` */
function after(text: string, now: number): string {
  const [, count, unit] = /^([1-9]\d{0,4})([dh])$/.exec(text) ?? [];
  if (count === undefined) {
    throw new ProvError(`Cannot use --expires="${text}": write 90d or 12h`, { code: "USAGE" });
  }
  const hours = Number(count) * (unit === "d" ? 24 : 1);
  return new Date(now + hours * 3_600_000).toISOString();
}

function showToken(cli: Cli, json: boolean | undefined, robot: unknown): void {
  const user = stringAt(robot, "user") ?? "";
  const token = stringAt(robot, "token") ?? "";
  print(cli, json, robot, () => `user ${user}, password ${token}\nIt is shown this once only.`);
}

async function list(cli: Cli, json: boolean | undefined): Promise<void> {
  const api = await connect(cli);
  const document = await api.call("GET", "/api/v1/robots");
  print(cli, json, document, () =>
    table([
      ["NAME", "MAY", "EXPIRES", "LAST USED"],
      ...arrayAt(document, "robots").map((robot) => [
        stringAt(robot, "name") ?? "",
        arrayAt(robot, "grants").map(renderGrant).join(" "),
        formatTime(at(robot, "expires_at")),
        formatTime(at(robot, "last_used_at")),
      ]),
    ]),
  );
}

function renderGrant(grant: unknown): string {
  return `${stringAt(grant, "repositories") ?? ""}:${arrayAt(grant, "actions").join(",")}`;
}
