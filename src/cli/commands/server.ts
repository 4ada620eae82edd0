// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { arrayAt, at, stringAt } from "../../base/json.ts";
import { connect } from "../api-client.ts";
import { type Cli, type Command, command, group, print } from "../command.ts";
import { readJson, readSecret } from "../files.ts";
import { formatTime, lines, table } from "../table.ts";

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
      run: (args) => callAndShow(cli, args, "GET", pathOf(args.serial)),
    }),
    command<SerialArgs>({
      command: "probe <serial>",
      describe: "ask the BMC what it can do; touches nothing",
      run: (args) => callAndShow(cli, args, "POST", `${pathOf(args.serial)}/probe`),
    }),
    command<SerialArgs & { to: string }>({
      command: "power <serial> <to>",
      describe: "switch a server on or off, or reset it",
      positionals: { to: { choices: ["on", "off", "reset"] } },
      run: async (args) => {
        const api = await connect(cli);
        const done = await api.call("POST", `${pathOf(args.serial)}/power`, { action: args.to });
        print(cli, args.json, done, () => `${args.serial}: ${args.to}`);
      },
    }),
    command<SerialArgs>({
      command: "rm <serial>",
      describe: "forget a server",
      run: async (args) => {
        const api = await connect(cli);
        await api.call("DELETE", pathOf(args.serial));
        print(cli, args.json, { removed: args.serial }, () => `${args.serial} removed`);
      },
    }),
  ]);
}

async function callAndShow(
  cli: Cli,
  args: SerialArgs,
  method: string,
  path: string,
): Promise<void> {
  const api = await connect(cli);
  const server = await api.call(method, path);
  print(cli, args.json, server, () => renderServer(server));
}

function renderServer(server: unknown): string {
  const bmc = at(server, "capabilities");
  const slots = arrayAt(bmc, "slots").map((slot) => stringAt(slot, "id") ?? "?");
  return lines({
    serial: stringAt(server, "serial"),
    BMC: stringAt(server, "bmc", "url"),
    user: stringAt(server, "bmc", "username"),
    TLS: stringAt(server, "bmc", "tls", "fingerprint") ?? stringAt(server, "bmc", "tls", "mode"),
    delivery: stringAt(server, "delivery") ?? "auto",
    network: at(server, "network") === null ? "DHCP" : "its own configuration (see --json)",
    made: [stringAt(bmc, "vendor"), stringAt(bmc, "model")].filter(Boolean).join(" "),
    firmware: stringAt(bmc, "bmcFirmware"),
    "media slots": slots.join(", "),
    probed: bmc === null ? "never: prov server probe asks the BMC what it can do" : undefined,
    updated: formatTime(at(server, "updated_at")),
  });
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
  const password = await readSecret(args.bmcPasswordFile, terminal);
  const network: unknown =
    args.network === undefined ? null : await readJson(args.network, terminal);
  const api = await connect(cli);
  const server = await api.call("PUT", pathOf(args.serial), {
    bmc: {
      url: args.bmcUrl,
      username: args.bmcUser,
      password,
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
  const api = await connect(cli);
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
