// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock } from "../base/deps.ts";
import { type Millis, millis } from "../base/units.ts";
import type { GcReport } from "./housekeeping/report.ts";
import type { Damage } from "./housekeeping/scrub-state.ts";
import type { Uploads } from "./uploads/uploads.ts";

/** Is told what happens in the registry; for metrics. */
export interface RegistryObserver {
  /** A blob is complete. `took` is since its upload was begun; null when that was in an earlier process. */
  uploaded(repository: string, bytes: number, took: Millis | null): void;
  /** A GET of a blob or a manifest is answered: bytes that are asked for, whether they arrive or not. */
  downloaded(repository: string, bytes: number): void;
  /** No dry run. */
  collected(report: GcReport): void;
  /** Bytes that were read to be compared with their digest. */
  scrubbed(bytes: number): void;
  damaged(damage: Damage): void;
}

export const NO_OBSERVER: RegistryObserver = {
  uploaded() {},
  downloaded() {},
  collected() {},
  scrubbed() {},
  damaged() {},
};

/** More uploads than this are not timed: they are many that nobody finishes. */
const TIMED_MAX = 10_000;

/** The same uploads, with those that are finished told of. */
export function observeUploads(
  uploads: Uploads,
  observer: () => RegistryObserver,
  now: Clock,
): Uploads {
  const begun = new Map<string, number>();
  return {
    ...uploads,
    async begin(repository, algorithm) {
      const id = await uploads.begin(repository, algorithm);
      if (begun.size >= TIMED_MAX) begun.clear();
      begun.set(id, now());
      return id;
    },
    async finish(repository, id, digest) {
      const since = begun.get(id);
      begun.delete(id);
      const size = await uploads.finish(repository, id, digest);
      observer().uploaded(repository, size, since === undefined ? null : millis(now() - since));
      return size;
    },
    async cancel(repository, id) {
      begun.delete(id);
      await uploads.cancel(repository, id);
    },
  };
}

const CONTENT = /^\/v2\/(.+)\/(?:blobs|manifests)\/[^/]+$/;

/** Tells of an answer that has content. */
export function observeDownload(
  request: Request,
  response: Response,
  observer: RegistryObserver,
): void {
  if (request.method !== "GET" || (response.status !== 200 && response.status !== 206)) return;
  const { pathname } = new URL(request.url, "http://registry.invalid");
  const repository = CONTENT.exec(pathname)?.[1];
  if (repository === undefined) return;
  observer.downloaded(repository, Number(response.headers.get("content-length") ?? 0));
}
