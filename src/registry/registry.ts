// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The registry: an OCI distribution server (distribution-spec 1.1) over a directory, as one function
 * from Request to Response. `layout.ts` says what lies where, `catalog/` what requests are answered
 * from, `uploads.ts` how content comes in. Who may do what is decided outside and handed in.
 */
import { type Clock, type Log, realSleep, type Sleep } from "../base/deps.ts";
import { createKeyedLock } from "../base/keyed-lock.ts";
import { type Millis, mib, seconds } from "../base/units.ts";
import { deleteBlob, getBlob } from "./blob-routes.ts";
import { openBlobStorage } from "./blob-storage.ts";
import type { Access, Call, Parts, RegistryAction } from "./call.ts";
import { openCatalog } from "./catalog/catalog.ts";
import type { TagRow } from "./catalog/tags.ts";
import type { Digest } from "./digest.ts";
import { listReferrers, listRepositories, listTags } from "./discovery-routes.ts";
import { catalogPath } from "./layout.ts";
import { createLayoutWriter } from "./layout-writer.ts";
import { deleteManifest, findManifest, getManifest, putManifest } from "./manifest-routes.ts";
import { OciError, toOciError } from "./oci-error.ts";
import { rebuildCatalog } from "./rebuild.ts";
import { isRepository } from "./reference.ts";
import {
  appendUpload,
  cancelUpload,
  finishUpload,
  startUpload,
  uploadStatus,
} from "./upload-routes.ts";
import { createUploads } from "./uploads.ts";

/**
 * What `Bun.serve` must be given, or it cuts slow transfers after 10 s, refuses bodies above
 * 128 MiB, and answers a bug with a page of source code.
 */
export const REGISTRY_SERVER_OPTIONS = {
  idleTimeout: 0,
  maxRequestBodySize: Number.MAX_SAFE_INTEGER,
  development: false,
} as const;

export interface RegistryDeps {
  /** Made if missing; everything the registry has lies here. One process at a time. */
  readonly root: string;
  readonly log: Log;
  readonly now: Clock;
  readonly sleep?: Sleep;
  /** Bytes that uploads leave free on the disk. Default: 128 MiB. */
  readonly reserveBytes?: number;
  /** After so long an upload that brings little makes room for the next one. Default: 5 s. */
  readonly slowAfter?: Millis;
}

interface Resolved {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Of the manifest, in bytes. */
  readonly size: number;
}

export interface Registry {
  /** Answers any path under `/v2/`. Never rejects. */
  handle(request: Request, access: Access): Promise<Response>;
  /** The manifest that a tag or digest names now. */
  resolve(repository: string, reference: string): Promise<Resolved | undefined>;
  repositories(): Promise<readonly string[]>;
  tags(repository: string): Promise<readonly TagRow[]>;
  /** Gives up abandoned uploads. To be called now and then. */
  sweep(): Promise<void>;
  /**
   * Stops reading bodies, keeping what has come, and writes what is left to write. Requests must
   * have ended or be of no interest any more: stop the server first.
   */
  close(): Promise<void>;
}

/** @throws {ProvError} `STORE_TOO_NEW` */
export async function createRegistry(deps: RegistryDeps): Promise<Registry> {
  const {
    root,
    log,
    now,
    sleep = realSleep,
    reserveBytes = mib(128),
    slowAfter = seconds(5),
  } = deps;
  const storage = await openBlobStorage(root);
  const catalog = openCatalog(catalogPath(root));
  if (catalog.isNew) {
    const repositories = await rebuildCatalog(root, catalog, now());
    if (repositories > 0)
      log.warn({ repositories }, "registry catalog made again from the layouts");
    catalog.setFilled();
  }
  const uploads = createUploads({ storage, catalog, now, reserveBytes, slowAfter });
  const layouts = createLayoutWriter({ root, catalog, log, sleep });
  const parts: Parts = { storage, catalog, uploads, layouts, locks: createKeyedLock(), log, now };
  await uploads.recover();
  await uploads.sweep();
  if (catalog.staleRepositories().length > 0) layouts.schedule();
  let closed: Promise<void> | undefined;
  async function close(): Promise<void> {
    await uploads.close();
    await layouts.close();
    catalog.close();
  }
  return {
    handle: (request, access) => answer(request, access, parts),
    async resolve(repository, reference) {
      await Promise.resolve();
      const row = findManifest(parts, repository, reference);
      return row && { digest: row.digest, mediaType: row.mediaType, size: row.size };
    },
    repositories: () => Promise.resolve(catalog.repositories()),
    tags: (repository) => Promise.resolve(catalog.tagRows(repository)),
    sweep: () => uploads.sweep(),
    close() {
      closed ??= close();
      return closed;
    },
  };
}

interface Route {
  readonly action: RegistryAction;
  readonly run: (call: Call) => Response | Promise<Response>;
}

/** Names have slashes, so that the last match of a fixed part decides: patterns, not a tree. */
const ROUTES: readonly (readonly [RegExp, Readonly<Record<string, Route>>])[] = [
  [/^\/v2\/?$/, { GET: { action: "pull", run: base }, HEAD: { action: "pull", run: base } }],
  [/^\/v2\/_catalog$/, { GET: { action: "pull", run: listRepositories } }],
  [/^\/v2\/(?<name>.+)\/blobs\/uploads\/?$/, { POST: { action: "push", run: startUpload } }],
  [
    /^\/v2\/(?<name>.+)\/blobs\/uploads\/(?<last>[^/]+)$/,
    {
      GET: { action: "push", run: uploadStatus },
      PATCH: { action: "push", run: appendUpload },
      PUT: { action: "push", run: finishUpload },
      DELETE: { action: "push", run: cancelUpload },
    },
  ],
  [
    /^\/v2\/(?<name>.+)\/blobs\/(?<last>[^/]+)$/,
    {
      GET: { action: "pull", run: getBlob },
      HEAD: { action: "pull", run: getBlob },
      DELETE: { action: "delete", run: deleteBlob },
    },
  ],
  [
    /^\/v2\/(?<name>.+)\/manifests\/(?<last>[^/]+)$/,
    {
      GET: { action: "pull", run: getManifest },
      HEAD: { action: "pull", run: getManifest },
      PUT: { action: "push", run: putManifest },
      DELETE: { action: "delete", run: deleteManifest },
    },
  ],
  [/^\/v2\/(?<name>.+)\/tags\/list$/, { GET: { action: "pull", run: listTags } }],
  [
    /^\/v2\/(?<name>.+)\/referrers\/(?<last>[^/]+)$/,
    { GET: { action: "pull", run: listReferrers } },
  ],
];

function base(): Response {
  return Response.json({});
}

async function answer(request: Request, access: Access, parts: Parts): Promise<Response> {
  let response: Response;
  try {
    response = await route(request, access, parts);
  } catch (error) {
    const problem = toOciError(error);
    if (problem.status >= 500) {
      const { method, url } = request;
      parts.log.error({ method, url, err: error }, "registry request failed");
    }
    response = problem.toResponse();
  }
  response.headers.set("docker-distribution-api-version", "registry/2.0");
  return response;
}

async function route(request: Request, access: Access, parts: Parts): Promise<Response> {
  // HTTP/1.0 without a Host has only a path for its URL.
  const url = new URL(request.url, "http://registry.invalid");
  for (const [pattern, methods] of ROUTES) {
    const match = pattern.exec(url.pathname);
    if (match === null) continue;
    const repository = match.groups?.name ?? "";
    if (repository !== "" && !isRepository(repository)) {
      throw new OciError("that is not a repository name", { code: "NAME_INVALID" });
    }
    const found = methods[request.method];
    if (found === undefined) {
      const allow = Object.keys(methods).join(", ");
      throw new OciError(`use ${allow}`, { code: "UNSUPPORTED", headers: { allow } });
    }
    authorize(access, found.action, repository);
    const last = decodeLast(match.groups?.last ?? "");
    return await found.run({ request, query: url.searchParams, access, repository, last, parts });
  }
  throw new OciError("there is nothing at this path", { code: "UNSUPPORTED", status: 404 });
}

function authorize(access: Access, action: RegistryAction, repository: string): void {
  // Anybody who is known may see that this is a registry.
  const isKnown = access.identity !== "anonymous";
  if ((repository === "" && isKnown) || access.may(action, repository)) return;
  if (isKnown) {
    throw new OciError(`${access.identity} may not ${action} here`, {
      code: "DENIED",
      detail: { repository, action },
    });
  }
  throw new OciError("authentication required", {
    code: "UNAUTHORIZED",
    headers: { "www-authenticate": 'Basic realm="prov"' },
  });
}

/** Some clients write a digest's colon as %3A. */
function decodeLast(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new OciError("the path is not valid", { code: "UNSUPPORTED", status: 404, cause });
  }
}
