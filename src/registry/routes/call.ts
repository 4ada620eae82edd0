// SPDX-License-Identifier: AGPL-3.0-or-later

import type { Clock, Log } from "../../base/deps.ts";
import type { KeyedLock } from "../../base/keyed-lock.ts";
import type { AuditLog } from "../audit/audit-log.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { type Digest, parseDigest } from "../digest.ts";
import type { Mirror } from "../mirror/mirror.ts";
import { OciError } from "../oci-error.ts";
import type { Policy } from "../policy/policy.ts";
import type { Quota } from "../policy/quota.ts";
import type { RateLimiter } from "../policy/rate-limit.ts";
import type { ContentAction } from "../policy/rights.ts";
import type { BlobStorage } from "../storage/blob-storage.ts";
import type { LayoutWriter } from "../storage/layout-writer.ts";
import type { Uploads } from "../uploads/uploads.ts";

/** `list` is to see which repositories there are. */
export type RegistryAction = ContentAction | "list";

export interface Wanted {
  readonly action: RegistryAction;
  /** `""` for the registry itself. */
  readonly repository: string;
}

/** Who asks, and what they may do. The controller has authenticated them. */
export interface Access {
  /** `anonymous` for nobody: what is denied is then answered with a challenge. */
  readonly identity: string;
  /** Where the request comes from; left out for prov itself. */
  readonly address?: string;
  /** `repository` is `""` for the registry itself: to see that it is one. */
  may(action: RegistryAction, repository: string): boolean;
  /** Whether a token with more scope would do; left out: never. */
  mayWithScope?(action: RegistryAction, repository: string): boolean;
  /** Whether the caller may pull it, whatever the token was asked for; left out: as `may` says. */
  sees?(repository: string): boolean;
  /** The `WWW-Authenticate` of a 401; left out: Basic. */
  challenge?(wanted: readonly Wanted[]): string;
  /** Whose requests count together against the policy's rate limit; left out: they are not limited. */
  readonly limitedAs?: string;
}

/** The registry's parts, as its routes use them. */
export interface Parts {
  readonly storage: BlobStorage;
  readonly catalog: Catalog;
  readonly uploads: Uploads;
  readonly layouts: LayoutWriter;
  /** Per repository and digest: the catalog and the disk change together. */
  readonly locks: KeyedLock;
  readonly policy: () => Policy;
  readonly quota: Quota;
  readonly rateLimiter: RateLimiter;
  readonly audit: AuditLog;
  readonly log: Log;
  readonly now: Clock;
  /** Null for a registry that is no mirror of another. */
  readonly mirror: Mirror | null;
}

/** One request to one repository. */
export interface Call {
  readonly request: Request;
  readonly query: URLSearchParams;
  readonly access: Access;
  /** Checked; `""` for the registry itself. */
  readonly repository: string;
  /** The path's last variable part: a digest, a tag or an upload's id. */
  readonly last: string;
  readonly parts: Parts;
}

/** @throws {OciError} `DIGEST_INVALID` */
export function requireDigest(text: string): Digest {
  const digest = parseDigest(text);
  if (digest !== undefined) return digest;
  throw new OciError(`"${text.slice(0, 200)}" is not a sha256 or sha512 digest`, {
    code: "DIGEST_INVALID",
  });
}

export function nothing(status: number, headers: Record<string, string> = {}): Response {
  return new Response(null, { status, headers });
}
