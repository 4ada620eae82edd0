// SPDX-License-Identifier: AGPL-3.0-or-later
import { readFile } from "node:fs/promises";
import { ProvError } from "../../base/errors.ts";
import { arrayAt, at, stringAt } from "../../base/json.ts";
import { type Api, connect } from "../api-client.ts";
import { type Cli, type Command, print } from "../command.ts";
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
  const api = (): Promise<Api> => connect(cli.terminal, cli.fetch);
  return {
    command: "server <action>",
    describe: "the servers and their BMCs",
    builder: (y) =>
      y
        .command(addCommand(cli))
        .command("list", "all servers", {}, (args: { json?: boolean }) => list(cli, args.json))
        .command("show <serial>", "one server", {}, async (args: SerialArgs) => {
          const server = await (await api()).call("GET", pathOf(args.serial));
          cli.terminal.out(JSON.stringify(server, null, 2));
        })
        .command(
          "probe <serial>",
          "ask the BMC what it can do; touches nothing",
          {},
          async (args: SerialArgs) => {
            const server = await (await api()).call("POST", `${pathOf(args.serial)}/probe`);
            cli.terminal.out(JSON.stringify(server, null, 2));
          },
        )
        .command(
          "power <serial> <to>",
          "switch a server on or off, or reset it",
          (p: import("yargs").Argv) => p.positional("to", { choices: ["on", "off", "reset"] }),
          async (args: SerialArgs & { to: string }) => {
            await (await api()).call("POST", `${pathOf(args.serial)}/power`, { action: args.to });
            cli.terminal.out(`${args.serial}: ${args.to}`);
          },
        )
        .command("rm <serial>", "forget a server", {}, async (args: SerialArgs) => {
          await (await api()).call("DELETE", pathOf(args.serial));
          cli.terminal.out(`${args.serial} removed`);
        })
        .demandCommand(1)
        .strict(),
    handler: () => {},
  };
}

interface SerialArgs {
  serial: string;
  json?: boolean;
}

const pathOf = (serial: string) => `/api/v1/servers/${encodeURIComponent(serial)}`;

function addCommand(cli: Cli): Command {
  return {
    command: "add <serial>",
    describe: "add a server, or replace what is known of it",
    builder: (y) =>
      y
        .positional("serial", { type: "string", describe: "DMI product serial" })
        .option("bmc-url", { type: "string", demandOption: true, describe: "https://10.0.0.7" })
        .option("bmc-user", { type: "string", demandOption: true })
        .option("bmc-password-file", {
          type: "string",
          demandOption: true,
          describe: 'file that holds the password, "-" for stdin',
        })
        .option("bmc-fingerprint", {
          type: "string",
          describe: "SHA-256 of the BMC's certificate: trust that one only",
        })
        .option("bmc-insecure", { type: "boolean", describe: "do not verify the certificate" })
        .option("delivery", {
          choices: ["dual", "usb", "combined"],
          describe: "how the task gets there",
        })
        .option("network", {
          type: "string",
          describe: "JSON file with its network configuration",
        }),
    handler: (args: AddArgs) => add(cli, args),
  };
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
