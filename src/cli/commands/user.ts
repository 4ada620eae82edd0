// SPDX-License-Identifier: AGPL-3.0-or-later
import { arrayAt, at, stringAt } from "../../base/json.ts";
import { connect } from "../api-client.ts";
import { type Cli, type Command, command, group, print } from "../command.ts";
import { readSecret } from "../files.ts";
import { formatTime, table } from "../table.ts";

interface UserArgs {
  name: string;
  role: string;
  passwordFile: string;
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
        const api = await connect(cli);
        const password = await readSecret(args.passwordFile, cli.terminal);
        const { name, role } = args;
        await api.call("POST", "/api/v1/users", { name, role, password });
        print(cli, args.json, { name, role }, () => `${name} added as ${role}`);
      },
    }),
    command<{ json?: boolean }>({
      command: "list",
      describe: "all users",
      run: (args) => list(cli, args.json),
    }),
    command<{ name: string; json?: boolean }>({
      command: "rm <name>",
      describe: "remove a user",
      run: async (args) => {
        const api = await connect(cli);
        await api.call("DELETE", `/api/v1/users/${encodeURIComponent(args.name)}`);
        print(cli, args.json, { removed: args.name }, () => `${args.name} removed`);
      },
    }),
  ]);
}

async function list(cli: Cli, json: boolean | undefined): Promise<void> {
  const api = await connect(cli);
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
