// SPDX-License-Identifier: AGPL-3.0-or-later
import { readFile } from "node:fs/promises";
import { arrayAt, at, stringAt } from "../../base/json.ts";
import { connect } from "../api-client.ts";
import { type Cli, type Command, command, group, print } from "../command.ts";
import { formatTime, table } from "../table.ts";

interface UserArgs {
  name: string;
  role?: string;
  passwordFile?: string;
  json?: boolean;
}

export function userCommand(cli: Cli): Command {
  return group("user", "who may use the controller", [
    command<UserArgs>({
      command: "add <name>",
      describe: "add a user",
      options: {
        role: { choices: ["admin", "operator", "reader"], default: "operator" },
        "password-file": { type: "string", demandOption: true, describe: '"-" for stdin' },
      },
      run: async (args) => {
        const api = await connect(cli.terminal, cli.fetch);
        const password = await readPassword(cli, args.passwordFile ?? "-");
        await api.call("POST", "/api/v1/users", { name: args.name, role: args.role, password });
        cli.terminal.out(`${args.name} added as ${args.role}`);
      },
    }),
    command<{ json?: boolean }>({
      command: "list",
      describe: "all users",
      run: (args) => list(cli, args.json),
    }),
    command<UserArgs>({
      command: "rm <name>",
      describe: "remove a user",
      run: async (args) => {
        const api = await connect(cli.terminal, cli.fetch);
        await api.call("DELETE", `/api/v1/users/${encodeURIComponent(args.name)}`);
        cli.terminal.out(`${args.name} removed`);
      },
    }),
  ]);
}

async function readPassword(cli: Cli, file: string): Promise<string> {
  const text = file === "-" ? await cli.terminal.stdin() : await readFile(file, "utf8");
  return text.replace(/\r?\n$/, "");
}

async function list(cli: Cli, json: boolean | undefined): Promise<void> {
  const api = await connect(cli.terminal, cli.fetch);
  const document = await api.call("GET", "/api/v1/users");
  print(cli, json, document, () =>
    table([
      ["NAME", "ROLE", "CREATED"],
      ...arrayAt(document, "users").map((user) => [
        stringAt(user, "name") ?? "",
        stringAt(user, "role") ?? "",
        formatTime(at(user, "created_at")),
      ]),
    ]),
  );
}
