// SPDX-License-Identifier: AGPL-3.0-or-later
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Log, realSleep } from "../../base/deps.ts";
import { ProvError } from "../../base/errors.ts";
import { type Millis, millis, minutes, seconds } from "../../base/units.ts";
import {
  type ControllerConfig,
  checkConfig,
  type ListenAddress,
  type RegistryUpkeep,
} from "../../controller/config.ts";
import { createLog, LOG_LEVELS, type LogLevel } from "../../controller/log.ts";
import type { ControllerDeps } from "../../controller/ports.ts";
import { startController } from "../../controller/serve.ts";
import { openBmc } from "../../redfish/bmc.ts";
import { readFingerprint } from "../../redfish/tls.ts";
import { createRegistry } from "../../registry/registry.ts";
import { openStore } from "../../store/sqlite/open.ts";
import type { Retention } from "../../store/store.ts";
import { type Cli, type Command, command, print } from "../command.ts";
import { onFile, readCertificates, readText, readYaml } from "../files.ts";
import { flagOf, SETTINGS, type SettingKey } from "../known-settings.ts";
import {
  addressSetting,
  choiceSetting,
  durationSetting,
  listSetting,
  numberSetting,
  rateSetting,
  switchSetting,
  urlsSetting,
} from "../setting-values.ts";
import { resolveSettings, type Settings } from "../settings.ts";
import { table } from "../table.ts";
import { type Terminal, untilStopped } from "../terminal.ts";
import { upstreamFrom } from "../upstream-settings.ts";
import { COMMIT, VERSION } from "../version.ts";

interface ServeArgs extends Record<string, unknown> {
  config?: string;
  check?: boolean;
  json?: boolean;
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
  const config = await configFrom(settings, terminal);
  checkConfig(config);
  const extras = {
    logLevel: choiceSetting(settings, "log_level", LOG_LEVELS),
    redfishTimeout: durationSetting(settings, "redfish_timeout") ?? seconds(30),
    auditMonths: auditMonthsFrom(settings),
  };
  if (args.check === true) {
    const shown = shownSettings(settings);
    print(cli, args.json, shown, () => table([["SETTING", "VALUE"], ...Object.entries(shown)]));
    return;
  }
  await runController(config, settings, extras, terminal);
}

/** What is not the controller's own business. */
interface Extras {
  readonly logLevel: LogLevel;
  /** For one request to a BMC. */
  readonly redfishTimeout: Millis;
  readonly auditMonths: number;
}

async function readSettings(args: ServeArgs, terminal: Terminal): Promise<Settings> {
  const file = args.config === undefined ? undefined : await readYaml(args.config);
  const flags = Object.fromEntries(SETTINGS.map(({ key }) => [key, args[flagOf(key)]]));
  return resolveSettings(flags, terminal.env, file);
}

/** Every setting as it may be shown: of secrets only whether there is one. */
function shownSettings(settings: Settings): Readonly<Record<string, string>> {
  const shown = (setting: (typeof SETTINGS)[number]) => {
    const value = settings[setting.key];
    return value !== undefined && "secret" in setting ? "(set)" : (value ?? "-");
  };
  return Object.fromEntries(SETTINGS.map((setting) => [setting.key, shown(setting)]));
}

async function configFrom(settings: Settings, terminal: Terminal): Promise<ControllerConfig> {
  const storageRoot = settings.storage_root ?? "";
  const installMs = durationSetting(settings, "job_stuck_timeout");
  const checkInMs = durationSetting(settings, "check_in_timeout");
  const mediaReadMs = durationSetting(settings, "media_read_timeout");
  return {
    http: addressSetting(settings, "http_addr") ?? null,
    https: await httpsFrom(settings, terminal),
    ...mediaFrom(settings),
    retention: retentionFrom(settings),
    publicUrls: urlsSetting(settings, "public_urls"),
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
    registryUpkeep: upkeepFrom(settings),
    anonymousPull: switchSetting(settings, "registry_allow_anon"),
    registryAuth: choiceSetting(settings, "registry_auth", ["basic", "bearer"]),
    ...(await upstreamFrom(settings, terminal)),
  };
}

function auditMonthsFrom(settings: Settings): number {
  const months = numberSetting(settings, "registry_audit_months");
  if (months >= 1) return months;
  throw new ProvError("Cannot keep less than one month of the registry's audit log", {
    code: "CONFIG_INVALID",
    hint: "Set registry_audit_months to 1 or more.",
  });
}

const LEAST_GRACE = minutes(60);

/** @throws {ProvError} `CONFIG_INVALID` for a grace period in which no push comes to its end. */
function upkeepFrom(settings: Settings): RegistryUpkeep {
  const duration = (key: SettingKey) => durationSetting(settings, key) ?? millis(0);
  const gcGrace = duration("registry_gc_grace_period");
  if (gcGrace < LEAST_GRACE) {
    throw new ProvError("Cannot use the setting registry_gc_grace_period: it is less than 1h", {
      code: "CONFIG_INVALID",
      hint: "A push may take that long. For once, use: prov registry gc --grace=0s",
    });
  }
  return {
    gcGrace,
    gcInterval: duration("registry_gc_interval"),
    scrubInterval: duration("registry_scrub_interval"),
    scrubRate: rateSetting(settings, "registry_scrub_rate"),
  };
}

const MEDIA_PORT = 8081;

function mediaFrom(settings: Settings): { media?: ListenAddress } {
  if (settings.media_addr === "none") return {};
  const api = addressSetting(settings, "https_addr") ?? addressSetting(settings, "http_addr");
  const hostname = api?.hostname ?? "127.0.0.1";
  return { media: addressSetting(settings, "media_addr") ?? { hostname, port: MEDIA_PORT } };
}

const DAY = minutes(24 * 60);
const MOST_DAYS_OF_SECRETS = 14;

function retentionFrom(settings: Settings): Retention {
  const days = numberSetting(settings, "job_retention_days");
  return {
    jobs: millis(days * DAY),
    secrets: millis(Math.min(days, MOST_DAYS_OF_SECRETS) * DAY),
  };
}

async function httpsFrom(
  settings: Settings,
  terminal: Terminal,
): Promise<ControllerConfig["https"]> {
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
    certificate: await readText(certificate, terminal),
    key: await readText(key, terminal),
    ca: ca === undefined ? null : await readCertificates(ca, terminal),
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
  extras: Extras,
  terminal: Terminal,
): Promise<void> {
  const log = createLog(extras.logLevel, { write: (line) => terminal.err(line.trimEnd()) });
  const { storageRoot } = config;
  await onFile("use", storageRoot, () => mkdir(storageRoot, { recursive: true, mode: 0o700 }));
  await using open = new AsyncDisposableStack();
  const store = await openStore({
    path: settings.db_path ?? join(storageRoot, "prov.db"),
    keyFile: settings.key_file ?? join(storageRoot, "prov.key"),
  });
  open.defer(() => store.close());
  const root = join(storageRoot, "registry");
  const { registryUpstream: upstream } = config;
  const registry = await createRegistry({
    ...{ root, log, now: Date.now },
    auditMonths: extras.auditMonths,
    ...(upstream && { upstream }),
  });
  open.defer(() => registry.close());
  const controller = await startController(config, {
    store,
    registry,
    openBmc: bmcOpener(extras.redfishTimeout, log),
    log,
    now: Date.now,
    sleep: realSleep,
    newId: () => crypto.randomUUID(),
    newSecret: () => randomBytes(32).toString("base64url"),
    build: { version: VERSION, commit: COMMIT, source: settings.source_url ?? null },
  });
  open.defer(() => controller.stop());
  const { initialAdmin } = controller;
  if (initialAdmin !== null) {
    terminal.out(
      `First start: the user ${initialAdmin.name} was made, password: ${initialAdmin.password}`,
    );
    terminal.out("It is shown this once only.");
  }
  terminal.out(`prov ${VERSION} listens on ${controller.urls.join(", ")}`);
  await untilStopped(terminal.asked);
}

function bmcOpener(requestTimeout: Millis, log: Log): ControllerDeps["openBmc"] {
  const deps = { fetch, now: Date.now, sleep: realSleep, log, readFingerprint, requestTimeout };
  return (address, signal) => openBmc(address, { ...deps, signal });
}
