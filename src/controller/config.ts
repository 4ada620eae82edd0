// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import { type Bytes, bytes, type Millis, minutes } from "../base/units.ts";
import type { UpstreamConfig } from "../registry/mirror/upstream.ts";
import type { Retention } from "../store/store.ts";
import type { RegistryAuth } from "./auth/challenge.ts";

export interface ListenAddress {
  /** An address of this machine, `0.0.0.0` or `::` for all. */
  readonly hostname: string;
  /** 0: any free port. */
  readonly port: number;
}

interface HttpsListener extends ListenAddress {
  /** PEM, leaf first. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  /** PEM that a server in the maintenance OS needs to verify the certificate; null for a public CA. */
  readonly ca: string | null;
}

/** Deadlines that a site sets by itself, in place of the workflow's and of `worker/deadlines.ts`. */
export interface DeadlineOverrides {
  readonly bmcMs?: Millis;
  readonly mediaReadMs?: Millis;
  readonly checkInMs?: Millis;
  readonly firstStepMs?: Millis;
  readonly installMs?: Millis;
  readonly cleanupMs?: Millis;
}

/** How the registry keeps itself. */
export interface RegistryUpkeep {
  /** Between collections of garbage; 0: only when asked. */
  readonly gcInterval: Millis;
  /** What came, or was asked for, within this time is no garbage. */
  readonly gcGrace: Millis;
  /** From the start of a scrub to the start of the next; 0: only when asked. */
  readonly scrubInterval: Millis;
  /** Bytes per second. */
  readonly scrubRate: Bytes;
}

export const REGISTRY_UPKEEP: RegistryUpkeep = {
  gcInterval: minutes(60),
  gcGrace: minutes(24 * 60),
  scrubInterval: minutes(30 * 24 * 60),
  scrubRate: bytes(50_000_000),
};

/** What `prov serve` runs with, complete and checked for form: flags, environment and file are behind it. */
export interface ControllerConfig {
  readonly http: ListenAddress | null;
  readonly https: HttpsListener | null;
  /**
   * A listener of its own for media, in plain HTTP. Without it BMCs read from the listeners above, where the
   * GET of a whole combined ISO comes in chunks and without its length (media/serve.ts).
   */
  readonly media?: ListenAddress;
  /**
   * Base URLs under which BMCs and servers reach this controller, in order of preference.
   * Empty: the addresses it listens on, which is only right on one machine.
   */
  readonly publicUrls: readonly string[];
  /** Artifacts and other files. */
  readonly storageRoot: string;
  /** Path of the maintenance ISO; null: jobs that need it are refused. */
  readonly maintenanceIso: string | null;
  /** How long complete jobs and their secrets are kept; see `housekeeping.ts` for the default. */
  readonly retention?: Retention;
  /** Jobs driven at the same time; 0 drains: jobs are accepted and nobody works on them. */
  readonly workerConcurrency: number;
  readonly leaseTtlMs: Millis;
  readonly deadlines: DeadlineOverrides;
  /** Allows what {@link checkConfig} refuses. */
  readonly dev: boolean;
  /** The first signs task ISO URLs, all are accepted: a rotation keeps the old one for a while. Empty: none are given out. */
  readonly mediaSigningSecrets: readonly string[];
  /** Default: {@link REGISTRY_UPKEEP}. */
  readonly registryUpkeep?: RegistryUpkeep;
  /** Whether artifacts can be pulled without credentials, where the registry's policy does not say. */
  readonly anonymousPull: boolean;
  /** Which way of logging in the registry asks for. */
  readonly registryAuth: RegistryAuth;
  /** The registry that the controller's own is a mirror of. Absent: of none. */
  readonly registryUpstream?: UpstreamConfig;
}

const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|::1|\[::1\]|localhost)$/;

const isLoopback = (hostname: string): boolean => LOOPBACK.test(hostname);

/**
 * Refuses what would send passwords and recipes over a network in the clear.
 * @throws {ProvError} `CONFIG_INVALID`
 */
export function checkConfig(config: ControllerConfig): void {
  if (config.http === null && config.https === null) {
    throw new ProvError("Cannot start: neither an HTTP nor an HTTPS address to listen on is set", {
      code: "CONFIG_INVALID",
      hint: "Set CONTROLLER_HTTP_ADDR, or the HTTPS address with its certificate and key.",
    });
  }
  if (config.dev) return;
  checkUpstream(config.registryUpstream);
  if (config.https === null && config.http !== null && !isLoopback(config.http.hostname)) {
    throw new ProvError(
      `Cannot start: plain HTTP on ${config.http.hostname} would carry passwords in the clear`,
      {
        code: "CONFIG_INVALID",
        hint: "Configure a TLS certificate, listen on 127.0.0.1 behind a proxy, or pass --dev to try prov out.",
      },
    );
  }
  for (const secret of config.mediaSigningSecrets) {
    if (secret.length >= 16) continue;
    throw new ProvError("Cannot start: a media signing secret is shorter than 16 characters", {
      code: "CONFIG_INVALID",
      hint: "Make one with: openssl rand -hex 32",
    });
  }
}

function checkUpstream(upstream: UpstreamConfig | undefined): void {
  if (upstream === undefined || upstream.authorization === null) return;
  const { protocol, hostname } = new URL(upstream.registry);
  if (protocol === "https:" || isLoopback(hostname)) return;
  throw new ProvError(
    `Cannot start: plain HTTP to ${upstream.registry} would carry the upstream registry's password in the clear`,
    {
      code: "CONFIG_INVALID",
      hint: "Use its https:// address, or leave its user out where anybody may pull.",
    },
  );
}

/** What plain HTTP serves to everybody when the API is on HTTPS: media only. See `api/transport.ts`. */
export function isHttpMediaOnly(config: ControllerConfig): boolean {
  return !config.dev && config.https !== null && !isLoopback(config.http?.hostname ?? "localhost");
}
