// SPDX-License-Identifier: AGPL-3.0-or-later
import { randomBytes } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { realSleep } from "../../base/deps.ts";
import { ProvError } from "../../base/errors.ts";
import { minutes } from "../../base/units.ts";
import { type ControllerConfig, checkConfig } from "../../controller/config.ts";
import { createLog, LOG_LEVELS } from "../../controller/log.ts";
import { startController } from "../../controller/serve.ts";
import { openBmc } from "../../redfish/bmc.ts";
import { readFingerprint } from "../../redfish/tls.ts";
import { createRegistry } from "../../registry/registry.ts";
import { openStore } from "../../store/sqlite/open.ts";
import { type Cli, type Command, command } from "../command.ts";
import {
  addressSetting,
  durationSetting,
  flagOf,
  listSetting,
  numberSetting,
  resolveSettings,
  SETTINGS,
  type Settings,
  switchSetting,
} from "../settings.ts";
import { table } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import { COMMIT, VERSION } from "../version.ts";

interface ServeArgs extends Record<string, unknown> {
  config?: string;
  check?: boolean;
}

export function serveCommand(cli: Cli): Command {
  const settingOptions = SETTINGS.map(
    (setting) =>
      [
        flagOf(setting.key),
        {
          type: setting.kind === "switch" ? ("boolean" as const) : ("string" as const),
          describe: `${setting.about} (${setting.env})`,
          group: "Settings:",
        },
      ] as const,
  );
  return command<ServeArgs>({
    command: "serve",
    describe: "run the controller: API, registry, media and the workers that drive jobs",
    options: {
      config: { type: "string", describe: "file with settings, YAML" },
      check: { type: "boolean", describe: "print the settings in force, check them, and stop" },
      ...Object.fromEntries(settingOptions),
    },
    run: (args) => serve(cli, args),
  });
}

async function serve(cli: Cli, args: ServeArgs): Promise<void> {
  const { terminal } = cli;
  const settings = await readSettings(args, terminal);
  const config = await configFrom(settings);
  checkConfig(config);
  if (args.check === true) {
    terminal.out(renderSettings(settings));
    return;
  }
  await runController(config, settings, terminal);
}

async function readSettings(args: ServeArgs, terminal: Terminal): Promise<Settings> {
  const file: unknown =
    args.config === undefined ? undefined : Bun.YAML.parse(await readFile(args.config, "utf8"));
  const flags = Object.fromEntries(SETTINGS.map(({ key }) => [key, args[flagOf(key)]]));
  return resolveSettings(flags, terminal.env, file);
}

function renderSettings(settings: Settings): string {
  return table([
    ["SETTING", "VALUE"],
    ...SETTINGS.map((setting) => [
      setting.key,
      "secret" in setting && settings[setting.key] !== undefined
        ? "(set)"
        : (settings[setting.key] ?? "-"),
    ]),
  ]);
}

async function configFrom(settings: Settings): Promise<ControllerConfig> {
  const storageRoot = settings.storage_root ?? "";
  const installMs = durationSetting(settings, "job_stuck_timeout");
  const checkInMs = durationSetting(settings, "check_in_timeout");
  const mediaReadMs = durationSetting(settings, "media_read_timeout");
  return {
    http: addressSetting(settings, "http_addr") ?? null,
    https: await httpsFrom(settings),
    publicUrls: listSetting(settings, "public_urls"),
    storageRoot,
    maintenanceIso: await isoFrom(settings, storageRoot),
    workerConcurrency: numberSetting(settings, "worker_concurrency"),
    leaseTtlMs: durationSetting(settings, "job_lease_ttl") ?? minutes(1),
    deadlines: {
      ...(installMs !== undefined && { installMs }),
      ...(checkInMs !== undefined && { checkInMs }),
      ...(mediaReadMs !== undefined && { mediaReadMs }),
    },
    dev: switchSetting(settings, "dev"),
    mediaSigningSecrets: listSetting(settings, "signed_url_secret"),
    anonymousPull: switchSetting(settings, "registry_allow_anon"),
  };
}

async function httpsFrom(settings: Settings): Promise<ControllerConfig["https"]> {
  const address = addressSetting(settings, "https_addr");
  if (address === undefined) return null;
  const { tls_cert_file: certificate, tls_key_file: key, tls_ca_file: ca } = settings;
  if (certificate === undefined || key === undefined) {
    throw new ProvError("Cannot serve HTTPS without a certificate and its key", {
      code: "CONFIG_INVALID",
      hint: "Set tls_cert_file and tls_key_file.",
    });
  }
  return {
    ...address,
    certificate: await readFile(certificate, "utf8"),
    key: await readFile(key, "utf8"),
    ca: ca === undefined ? null : await readFile(ca, "utf8"),
  };
}

/** @throws {ProvError} `CONFIG_INVALID` when one was named and is not there. */
async function isoFrom(settings: Settings, storageRoot: string): Promise<string | null> {
  const named = settings.maintenance_iso?.replace(/^file:\/\//, "");
  const path = named ?? join(storageRoot, "maintenance.iso");
  if (await Bun.file(path).exists()) return path;
  if (named === undefined) return null;
  throw new ProvError(`Cannot use the maintenance ISO ${path}: there is no such file`, {
    code: "CONFIG_INVALID",
    hint: "Build it with: bun build.ts iso",
  });
}

async function runController(
  config: ControllerConfig,
  settings: Settings,
  terminal: Terminal,
): Promise<void> {
  const level = LOG_LEVELS.find((l) => l === settings.log_level) ?? "info";
  const log = createLog(level, { write: (line) => terminal.err(line.trimEnd()) });
  await mkdir(config.storageRoot, { recursive: true, mode: 0o700 });
  const store = await openStore({
    path: settings.db_path ?? join(config.storageRoot, "prov.db"),
    keyFile: settings.key_file ?? join(config.storageRoot, "prov.key"),
  });
  const registry = await createRegistry({
    root: join(config.storageRoot, "registry"),
    log,
    now: Date.now,
  });
  const timeout = durationSetting(settings, "redfish_timeout");
  const controller = await startController(config, {
    store,
    registry,
    openBmc: (address, signal) =>
      openBmc(address, {
        fetch,
        now: Date.now,
        sleep: realSleep,
        log,
        signal,
        readFingerprint,
        ...(timeout !== undefined && { requestTimeout: timeout }),
      }),
    log,
    now: Date.now,
    sleep: realSleep,
    newId: () => crypto.randomUUID(),
    newSecret: () => randomBytes(32).toString("base64url"),
    build: { version: VERSION, commit: COMMIT },
  });
  const { initialAdmin } = controller;
  if (initialAdmin !== null) {
    terminal.out(
      `First start: the user ${initialAdmin.name} was made, password: ${initialAdmin.password}`,
    );
    terminal.out("It is shown this once only.");
  }
  terminal.out(`prov ${VERSION} listens on ${controller.urls.join(", ")}`);
  await new Promise<void>((done) => {
    terminal.signal.addEventListener("abort", () => done(), { once: true });
  });
  await controller.stop();
  await registry.close();
  await store.close();
}
