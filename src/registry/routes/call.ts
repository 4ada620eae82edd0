// SPDX-License-Identifier: AGPL-3.0-or-later

import type { Clock, Log } from "../../base/deps.ts";
import type { KeyedLock } from "../../base/keyed-lock.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { type Digest, parseDigest } from "../digest.ts";
import { OciError } from "../oci-error.ts";
import type { BlobStorage } from "../storage/blob-storage.ts";
import type { LayoutWriter } from "../storage/layout-writer.ts";
import type { Uploads } from "../uploads/uploads.ts";

export type RegistryAction = "pull" | "push" | "delete";

/** Who asks, and what they may do. The controller has authenticated them. */
export interface Access {
  /** `anonymous` for nobody: what is denied is then answered with a challenge. */
  readonly identity: string;
  /** `repository` is `""` for the registry itself. */
  may(action: RegistryAction, repository: string): boolean;
}

/** The registry's parts, as its routes use them. */
export interface Parts {
  readonly storage: BlobStorage;
  readonly catalog: Catalog;
  readonly uploads: Uploads;
  readonly layouts: LayoutWriter;
  /** Per repository and digest: the catalog and the disk change together. */
  readonly locks: KeyedLock;
  readonly log: Log;
  readonly now: Clock;
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
