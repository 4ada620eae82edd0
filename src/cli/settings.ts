// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Every setting of `prov serve` once: its flag, its environment variable, its key in prov.yaml, its default.
 * A flag wins over the environment, the environment over the file.
 */
import { ProvError } from "../base/errors.ts";
import { isObject } from "../base/json.ts";
import { type Bytes, bytes, type Millis, millis } from "../base/units.ts";

interface Setting {
  /** Key in prov.yaml; the flag is the same with dashes. */
  readonly key: string;
  readonly env: string;
  readonly about: string;
  readonly kind: "text" | "list" | "number" | "duration" | "switch";
  readonly default?: string;
  readonly secret?: true;
}

export const SETTINGS = [
  {
    key: "http_addr",
    env: "CONTROLLER_HTTP_ADDR",
    kind: "text",
    default: "127.0.0.1:8080",
    about: 'address for plain HTTP, host:port; "none" for none',
  },
  {
    key: "https_addr",
    env: "CONTROLLER_HTTPS_ADDR",
    kind: "text",
    about: "address for HTTPS, host:port; needs a certificate and a key",
  },
  {
    key: "media_addr",
    env: "MEDIA_ADDR",
    kind: "text",
    about:
      'address for plain HTTP where BMCs read media; "none": at the API\'s own [the host of the API, port 8081]',
  },
  { key: "tls_cert_file", env: "TLS_CERT_FILE", kind: "text", about: "certificate chain, PEM" },
  { key: "tls_key_file", env: "TLS_KEY_FILE", kind: "text", about: "private key, PEM" },
  {
    key: "tls_ca_file",
    env: "TLS_CA_FILE",
    kind: "text",
    about: "CA that servers need to verify the certificate, PEM",
  },
  {
    key: "public_urls",
    env: "PUBLIC_URL",
    kind: "list",
    about: "URLs by which BMCs and servers reach this controller, most preferred first",
  },
  {
    key: "storage_root",
    env: "STORAGE_ROOT",
    kind: "text",
    default: "/var/lib/prov",
    about: "directory of the registry, the database and the key",
  },
  { key: "db_path", env: "DB_PATH", kind: "text", about: "database [STORAGE_ROOT/prov.db]" },
  {
    key: "key_file",
    env: "KEY_FILE",
    kind: "text",
    about: "key that seals secrets at rest; made at the first start [STORAGE_ROOT/prov.key]",
  },
  {
    key: "maintenance_iso",
    env: "MAINTENANCE_ISO_URL",
    kind: "text",
    about: "path of the maintenance ISO [STORAGE_ROOT/maintenance.iso]",
  },
  {
    key: "worker_concurrency",
    env: "WORKER_CONCURRENCY",
    kind: "number",
    default: "4",
    about: "jobs driven at the same time; 0 takes jobs and starts none",
  },
  {
    key: "redfish_timeout",
    env: "REDFISH_TIMEOUT",
    kind: "duration",
    default: "30s",
    about: "for one request to a BMC",
  },
  {
    key: "job_lease_ttl",
    env: "JOB_LEASE_TTL",
    kind: "duration",
    default: "1m",
    about: "after which a job of a dead controller is taken over",
  },
  {
    key: "job_stuck_timeout",
    env: "JOB_STUCK_TIMEOUT",
    kind: "duration",
    about: "from check-in to the report, in place of the workflow's own",
  },
  {
    key: "check_in_timeout",
    env: "CHECK_IN_TIMEOUT",
    kind: "duration",
    about: "from power-on to check-in, in place of the workflow's own",
  },
  {
    key: "media_read_timeout",
    env: "MEDIA_READ_TIMEOUT",
    kind: "duration",
    about: "from power-on to the first read of the boot medium",
  },
  {
    key: "job_retention_days",
    env: "JOB_RETENTION_DAYS",
    kind: "number",
    default: "90",
    about: "after which complete jobs are forgotten; their secrets go after 14 days at the latest",
  },
  {
    key: "signed_url_secret",
    env: "SIGNED_URL_SECRET",
    kind: "list",
    secret: true,
    about: "signs task ISO URLs for people; more than one during a rotation, newest first",
  },
  {
    key: "source_url",
    env: "SOURCE_URL",
    kind: "text",
    about: "where users of this controller get its source; shown at /about",
  },
  {
    key: "registry_allow_anon",
    env: "REGISTRY_ALLOW_ANON",
    kind: "switch",
    about: "let anybody pull artifacts",
  },
  {
    key: "registry_auth",
    env: "REGISTRY_AUTH",
    kind: "text",
    default: "basic",
    about: "how the registry asks clients to log in: basic or bearer (with a token)",
  },
  {
    key: "registry_audit_months",
    env: "REGISTRY_AUDIT_MONTHS",
    kind: "number",
    default: "12",
    about: "months of the registry's audit log that are kept, the running one among them",
  },
  {
    key: "registry_upstream",
    env: "REGISTRY_UPSTREAM",
    kind: "text",
    about:
      "registry that this one is a mirror of, as https://central:8443; os/x is os/x there, and site-a/os/x with https://central:8443/site-a",
  },
  {
    key: "registry_upstream_user",
    env: "REGISTRY_UPSTREAM_USER",
    kind: "text",
    about: "user there; needs a password file",
  },
  {
    key: "registry_upstream_password_file",
    env: "REGISTRY_UPSTREAM_PASSWORD_FILE",
    kind: "text",
    about: "file with the password there",
  },
  {
    key: "registry_upstream_ca_file",
    env: "REGISTRY_UPSTREAM_CA_FILE",
    kind: "text",
    about: "CA that signed its certificate, PEM",
  },
  {
    key: "registry_upstream_ttl",
    env: "REGISTRY_UPSTREAM_TTL",
    kind: "duration",
    default: "5m",
    about: "after which a tag is asked for again",
  },
  {
    key: "registry_upstream_repositories",
    env: "REGISTRY_UPSTREAM_REPOSITORIES",
    kind: "list",
    default: "**",
    about: "repositories that it is asked for: globs over their names here",
  },
  {
    key: "registry_gc_interval",
    env: "REGISTRY_GC_INTERVAL",
    kind: "duration",
    default: "1h",
    about: "between collections of the registry's garbage; 0s: only when asked",
  },
  {
    key: "registry_gc_grace_period",
    env: "REGISTRY_GC_GRACE_PERIOD",
    kind: "duration",
    default: "24h",
    about: "what came, or was asked for, within this time is no garbage; at least 1h",
  },
  {
    key: "registry_scrub_interval",
    env: "REGISTRY_SCRUB_INTERVAL",
    kind: "duration",
    default: "30d",
    about:
      "after which everything stored is read and compared with its digest; 0s: only when asked",
  },
  {
    key: "registry_scrub_rate",
    env: "REGISTRY_SCRUB_RATE",
    kind: "text",
    default: "50M",
    about: "bytes read for it per second, such as 500K, 50M or 1G",
  },
  {
    key: "log_level",
    env: "LOG_LEVEL",
    kind: "text",
    default: "info",
    about: "debug, info, warn or error",
  },
  {
    key: "dev",
    env: "PROV_DEV",
    kind: "switch",
    about: "allow an insecure configuration, to try prov out",
  },
] as const satisfies readonly Setting[];

export type SettingKey = (typeof SETTINGS)[number]["key"];

/** What was found for each setting, as text; a setting without a value or default is absent. */
export type Settings = Readonly<Partial<Record<SettingKey, string>>>;

export const flagOf = (key: string): string => key.replaceAll("_", "-");

/**
 * @param flags by setting key, as the command line gave them.
 * @param file the parsed prov.yaml, or undefined.
 * @throws {ProvError} `CONFIG_INVALID` for an unknown key in the file.
 */
export function resolveSettings(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  file: unknown,
): Settings {
  if (file !== undefined && file !== null && !isObject(file)) {
    throw new ProvError("Cannot use the configuration: it is not a list of settings", {
      code: "CONFIG_INVALID",
      hint: "Write one setting per line: storage_root: /var/lib/prov",
    });
  }
  const fromFile = isObject(file) ? file : {};
  const known = new Set<string>(SETTINGS.map(({ key }) => key));
  const unknown = Object.keys(fromFile).filter((key) => !known.has(key));
  if (unknown.length > 0) {
    throw new ProvError(`Cannot use the configuration: unknown key "${unknown.join('", "')}"`, {
      code: "CONFIG_INVALID",
      hint: `Known keys are ${[...known].join(", ")}.`,
    });
  }
  const settings: Partial<Record<SettingKey, string>> = {};
  for (const setting of SETTINGS) {
    const value =
      asText(flags[setting.key]) ??
      // Units and containers like to set what they have no value for to nothing.
      (env[setting.env] || undefined) ??
      asText(fromFile[setting.key]) ??
      ("default" in setting ? setting.default : undefined);
    if (value !== undefined) settings[setting.key] = value;
  }
  return settings;
}

function asText(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  return Array.isArray(value) ? value.join(",") : String(value);
}

/** `30s`, `1m`, `4h`, `30d`, `500ms`. @throws {ProvError} `CONFIG_INVALID` */
export function durationSetting(settings: Settings, key: SettingKey): Millis | undefined {
  const text = settings[key];
  return text === undefined ? undefined : parseDuration(`the setting ${key}`, text);
}

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @param what it is for the message. @throws {ProvError} `CONFIG_INVALID` */
export function parseDuration(what: string, text: string): Millis {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  const unit = Object.entries(UNIT_MS).find(([name]) => name === match?.[2]);
  if (match !== null && unit !== undefined) return millis(Number(match[1]) * unit[1]);
  throw notUsable(what, text, "a duration such as 30s, 10m or 4h");
}

const RATE_UNITS = { "": 1, K: 1e3, M: 1e6, G: 1e9 };

/** `50M`: bytes per second, more than none. @throws {ProvError} `CONFIG_INVALID` */
export function rateSetting(settings: Settings, key: SettingKey): Bytes {
  const text = settings[key] ?? "";
  const match = /^(\d{1,9})([KMG]?)$/.exec(text);
  const unit = Object.entries(RATE_UNITS).find(([name]) => name === match?.[2]);
  if (match === null || unit === undefined || Number(match[1]) === 0) {
    throw invalid(key, text, "a number of bytes such as 500K, 50M or 1G");
  }
  return bytes(Number(match[1]) * unit[1]);
}

export function numberSetting(settings: Settings, key: SettingKey): number {
  const text = settings[key] ?? "";
  if (!/^\d{1,9}$/.test(text)) throw invalid(key, text, "a whole number");
  return Number(text);
}

export function switchSetting(settings: Settings, key: SettingKey): boolean {
  const text = settings[key] ?? "false";
  if (["true", "1", "yes"].includes(text)) return true;
  if (["false", "0", "no", ""].includes(text)) return false;
  throw invalid(key, text, "true or false");
}

export function listSetting(settings: Settings, key: SettingKey): readonly string[] {
  return (settings[key] ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** Base URLs. @throws {ProvError} `CONFIG_INVALID` */
export function urlsSetting(settings: Settings, key: SettingKey): readonly string[] {
  const urls = listSetting(settings, key);
  for (const text of urls) {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const isBase = url !== undefined && /^https?:$/.test(url.protocol) && url.username === "";
    if (!isBase || url.search !== "")
      throw invalid(key, text, "a URL such as http://10.0.0.1:8080");
  }
  return urls;
}

/** One of a few words. @throws {ProvError} `CONFIG_INVALID` */
export function choiceSetting<Choice extends string>(
  settings: Settings,
  key: SettingKey,
  choices: readonly Choice[],
): Choice {
  const text = settings[key] ?? "";
  const choice = choices.find((each) => each === text);
  if (choice === undefined) throw invalid(key, text, `one of ${choices.join(", ")}`);
  return choice;
}

/** `0.0.0.0:8080`, `[::]:8080`; undefined for "none" or no value. */
export function addressSetting(
  settings: Settings,
  key: SettingKey,
): { hostname: string; port: number } | undefined {
  const text = settings[key];
  if (text === undefined || text === "none") return undefined;
  const match = /^(\[[0-9a-fA-F:]+\]|[^:]*):(\d{1,5})$/.exec(text);
  if (match === null || Number(match[2]) > 65_535) {
    throw invalid(key, text, "an address such as 0.0.0.0:8080");
  }
  const hostname = (match[1] ?? "").replace(/^\[|\]$/g, "");
  return { hostname: hostname === "" ? "0.0.0.0" : hostname, port: Number(match[2]) };
}

function invalid(key: SettingKey, value: string, wanted: string): ProvError {
  return notUsable(`the setting ${key}`, value, wanted);
}

function notUsable(what: string, value: string, wanted: string): ProvError {
  return new ProvError(`Cannot use ${what}: "${value}" is not ${wanted}`, {
    code: "CONFIG_INVALID",
  });
}
