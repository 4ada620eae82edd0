// SPDX-License-Identifier: AGPL-3.0-or-later
import { readFile } from "node:fs/promises";
import { ProvError } from "../../base/errors.ts";
import { arrayAt, at, stringAt } from "../../base/json.ts";
import { connect } from "../api-client.ts";
import { type Cli, type Command, command, group, print } from "../command.ts";
import { formatTime, table } from "../table.ts";

interface AddArgs {
  serial: string;
  bmcUrl: string;
  bmcUser: string;
  bmcPasswordFile: string;
  bmcFingerprint?: string;
  bmcInsecure?: boolean;
  delivery?: string;
  network?: string;
  json?: boolean;
}

export function serverCommand(cli: Cli): Command {
  return group("server", "the servers and their BMCs", [
    addCommand(cli),
    command<{ json?: boolean }>({
      command: "list",
      describe: "all servers",
      run: (args) => list(cli, args.json),
    }),
    command<SerialArgs>({
      command: "show <serial>",
      describe: "one server",
      run: (args) => callAndPrint(cli, "GET", pathOf(args.serial)),
    }),
    command<SerialArgs>({
      command: "probe <serial>",
      describe: "ask the BMC what it can do; touches nothing",
      run: (args) => callAndPrint(cli, "POST", `${pathOf(args.serial)}/probe`),
    }),
    command<SerialArgs & { to: string }>({
      command: "power <serial> <to>",
      describe: "switch a server on or off, or reset it",
      positionals: { to: { choices: ["on", "off", "reset"] } },
      run: async (args) => {
        const api = await connect(cli.terminal, cli.fetch);
        await api.call("POST", `${pathOf(args.serial)}/power`, { action: args.to });
        cli.terminal.out(`${args.serial}: ${args.to}`);
      },
    }),
    command<SerialArgs>({
      command: "rm <serial>",
      describe: "forget a server",
      run: async (args) => {
        const api = await connect(cli.terminal, cli.fetch);
        await api.call("DELETE", pathOf(args.serial));
        cli.terminal.out(`${args.serial} removed`);
      },
    }),
  ]);
}

async function callAndPrint(cli: Cli, method: string, path: string): Promise<void> {
  const api = await connect(cli.terminal, cli.fetch);
  cli.terminal.out(JSON.stringify(await api.call(method, path), null, 2));
}

interface SerialArgs {
  serial: string;
  json?: boolean;
}

const pathOf = (serial: string) => `/api/v1/servers/${encodeURIComponent(serial)}`;

function addCommand(cli: Cli): Command {
  return command<AddArgs>({
    command: "add <serial>",
    describe: "add a server, or replace what is known of it",
    positionals: { serial: { type: "string", describe: "DMI product serial" } },
    options: {
      "bmc-url": { type: "string", demandOption: true, describe: "https://10.0.0.7" },
      "bmc-user": { type: "string", demandOption: true },
      "bmc-password-file": {
        type: "string",
        demandOption: true,
        describe: 'file that holds the password, "-" for stdin',
      },
      "bmc-fingerprint": {
        type: "string",
        describe: "SHA-256 of the BMC's certificate: trust that one only",
      },
      "bmc-insecure": { type: "boolean", describe: "do not verify the certificate" },
      delivery: { choices: ["dual", "usb", "combined"], describe: "how the task gets there" },
      network: { type: "string", describe: "JSON file with its network configuration" },
    },
    run: (args) => add(cli, args),
  });
}

async function add(cli: Cli, args: AddArgs): Promise<void> {
  const { terminal } = cli;
  if (args.bmcFingerprint !== undefined && args.bmcInsecure === true) {
    throw new ProvError("Cannot both pin the BMC's certificate and not verify it", {
      code: "USAGE",
    });
  }
  const password =
    args.bmcPasswordFile === "-"
      ? await terminal.stdin()
      : await readFile(args.bmcPasswordFile, "utf8");
  const network: unknown =
    args.network === undefined ? null : JSON.parse(await readFile(args.network, "utf8"));
  const api = await connect(terminal, cli.fetch);
  const server = await api.call("PUT", pathOf(args.serial), {
    bmc: {
      url: args.bmcUrl,
      username: args.bmcUser,
      password: password.replace(/\r?\n$/, ""),
      tls: tlsOf(args),
    },
    delivery: args.delivery ?? null,
    network,
  });
  print(cli, args.json, server, () => `${args.serial} added, BMC at ${args.bmcUrl}`);
}

function tlsOf(args: AddArgs): unknown {
  if (args.bmcInsecure === true) return { mode: "insecure" };
  if (args.bmcFingerprint === undefined) return { mode: "verify" };
  const fingerprint = args.bmcFingerprint.replaceAll(":", "").toLowerCase();
  return { mode: "pinned", fingerprint };
}

async function list(cli: Cli, json: boolean | undefined): Promise<void> {
  const api = await connect(cli.terminal, cli.fetch);
  const document = await api.call("GET", "/api/v1/servers");
  const servers = arrayAt(document, "servers");
  print(cli, json, document, () =>
    table([
      ["SERIAL", "BMC", "DELIVERY", "UPDATED"],
      ...servers.map((server) => [
        stringAt(server, "serial") ?? "",
        stringAt(server, "bmc", "url") ?? "",
        stringAt(server, "delivery") ?? "auto",
        formatTime(at(server, "updated_at")),
      ]),
    ]),
  );
}
