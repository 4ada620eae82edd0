// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock, Fetch, Log, Sleep } from "../../base/deps.ts";
import type { Millis } from "../../base/units.ts";

/** A repository of some registry, and who we are there. */
export interface Remote {
  /** Base URL without `/v2/`: `http(s)://host:port`. */
  readonly registry: string;
  readonly repository: string;
  /** Whole value of the Authorization header; only ever sent to `registry`. */
  readonly authorization: string | null;
  /** PEM of the CA that signed the registry's certificate; null for a public one or plain HTTP. */
  readonly ca: string | null;
}

/** What every conversation with a registry needs of the outside. */
export interface ClientDeps {
  readonly fetch: Fetch;
  readonly sleep: Sleep;
  readonly now: Clock;
  readonly log: Log;
  /** How long to go on while nothing moves. Default: 15 min. */
  readonly patience?: Millis;
}

/** `os/debian:13`, `os/debian@sha256:…` */
export function nameOf({ repository }: Remote, reference: string): string {
  return `${repository}${reference.includes(":") ? "@" : ":"}${reference}`;
}
