// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * From a request to its route: which path is which endpoint of distribution-spec, what one must be
 * allowed to do to use it, and how whatever is thrown becomes an answer.
 */

import type { AuditAction } from "../audit/audit-event.ts";
import { deniedEvent, doneEvent } from "../audit/record.ts";
import { OciError, toOciError } from "../oci-error.ts";
import { isRepository } from "../reference.ts";
import { authorize, requireRate, requireWritable } from "./authorize.ts";
import { deleteBlob, getBlob } from "./blob-routes.ts";
import type { Access, Call, Parts, RegistryAction, Wanted } from "./call.ts";
import { listReferrers, listRepositories, listTags } from "./discovery-routes.ts";
import { deleteManifest, getManifest, putManifest } from "./manifest-routes.ts";
import {
  appendUpload,
  cancelUpload,
  finishUpload,
  startUpload,
  uploadStatus,
} from "./upload-routes.ts";

interface Route {
  readonly action: RegistryAction;
  /** What the audit log says when it was done, which `status` tells. */
  readonly audit?: { readonly action: AuditAction; readonly status: number };
  readonly run: (call: Call) => Response | Promise<Response>;
}

const PUSH = { action: "push", status: 201 } as const;
const PUSH_BLOB = { action: "push-blob", status: 201 } as const;
const DELETE = { action: "delete", status: 202 } as const;
const DELETE_BLOB = { action: "delete-blob", status: 202 } as const;

/**
 * Names have slashes, so that the last match of a fixed part decides: patterns, not a tree. HEAD is a
 * GET of which the server leaves the body out.
 */
const ROUTES: readonly (readonly [RegExp, Readonly<Record<string, Route>>])[] = [
  [/^\/v2\/?$/, { GET: { action: "pull", run: base } }],
  [/^\/v2\/_catalog$/, { GET: { action: "list", run: listRepositories } }],
  [
    /^\/v2\/(?<name>.+)\/blobs\/uploads\/?$/,
    { POST: { action: "push", audit: PUSH_BLOB, run: startUpload } },
  ],
  [
    /^\/v2\/(?<name>.+)\/blobs\/uploads\/(?<last>[^/]+)$/,
    {
      GET: { action: "push", run: uploadStatus },
      PATCH: { action: "push", run: appendUpload },
      PUT: { action: "push", audit: PUSH_BLOB, run: finishUpload },
      DELETE: { action: "push", run: cancelUpload },
    },
  ],
  [
    /^\/v2\/(?<name>.+)\/blobs\/(?<last>[^/]+)$/,
    {
      GET: { action: "pull", run: getBlob },
      DELETE: { action: "delete", audit: DELETE_BLOB, run: deleteBlob },
    },
  ],
  [
    /^\/v2\/(?<name>.+)\/manifests\/(?<last>[^/]+)$/,
    {
      GET: { action: "pull", run: getManifest },
      PUT: { action: "push", audit: PUSH, run: putManifest },
      DELETE: { action: "delete", audit: DELETE, run: deleteManifest },
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

/** Answers any path under `/v2/`. Never rejects. */
export async function answer(request: Request, access: Access, parts: Parts): Promise<Response> {
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
    const found = methods[methodOf(request)];
    if (found === undefined) {
      const allow = Object.keys(methods).join(", ").replace("GET", "GET, HEAD");
      throw new OciError(`use ${allow}`, { code: "UNSUPPORTED", headers: { allow } });
    }
    const last = decodeLast(match.groups?.last ?? "");
    return await run(found, { request, query: url.searchParams, access, repository, last, parts });
  }
  throw new OciError("there is nothing at this path", { code: "UNSUPPORTED", status: 404 });
}

/** What one must be allowed to for a request, as a challenge names it: nothing where nothing is. */
export function wantedBy(request: { readonly method: string }, pathname: string): Wanted[] {
  for (const [pattern, methods] of ROUTES) {
    const match = pattern.exec(pathname);
    const action = match && methods[methodOf(request)]?.action;
    const repository = match?.groups?.name ?? "";
    if (action && (repository === "" || isRepository(repository))) return [{ action, repository }];
  }
  return [];
}

const methodOf = ({ method }: { readonly method: string }): string =>
  method === "HEAD" ? "GET" : method;

/** What is done or denied is in the audit log before the client hears of it. */
async function run(route: Route, call: Call): Promise<Response> {
  const { access, parts, repository } = call;
  const wanted = { action: route.action, repository };
  try {
    requireRate(parts, access);
    authorize(access, wanted);
    requireWritable(parts, wanted);
    const response = await route.run(call);
    if (response.status === route.audit?.status) {
      await parts.audit.append(doneEvent(call, auditAction(route, call), response));
    }
    return response;
  } catch (error) {
    if (error instanceof OciError && error.status === 403) {
      await parts.audit.append(deniedEvent(call, auditAction(route, call), error));
    }
    throw error;
  }
}

function auditAction({ action, audit, run }: Route, { query }: Call): AuditAction {
  if (audit === undefined) return action;
  return run === startUpload && query.has("mount") ? "mount-blob" : audit.action;
}

/** Some clients write a digest's colon as %3A. */
function decodeLast(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new OciError("the path is not valid", { code: "UNSUPPORTED", status: 404, cause });
  }
}
