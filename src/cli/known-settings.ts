// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Every setting of `prov serve` once: its flag, its environment variable, its key in prov.yaml, its default.
 */

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

/** The flag of a key. */
export const flagOf = (key: string): string => key.replaceAll("_", "-");
