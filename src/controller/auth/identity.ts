// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Job } from "../../jobs/job.ts";
import type { RobotGrant, Role } from "../../store/store.ts";

/** Who a request comes from, as far as it was proven. */
export type Identity =
  | { readonly kind: "anonymous" }
  | { readonly kind: "user"; readonly name: string; readonly role: Role }
  /** A program that uses the registry, and nothing else. */
  | { readonly kind: "robot"; readonly name: string; readonly grants: readonly RobotGrant[] }
  /** The agent of a job that is not complete. */
  | { readonly kind: "job"; readonly job: Job };

export const ANONYMOUS: Identity = { kind: "anonymous" };

/** For log lines: `anonymous`, `user:ann`, `robot:ci`, `job:<id>`. */
export function describeIdentity(identity: Identity): string {
  switch (identity.kind) {
    case "anonymous":
      return "anonymous";
    case "user":
      return `user:${identity.name}`;
    case "robot":
      return `robot:${identity.name}`;
    case "job":
      return `job:${identity.job.id}`;
  }
}

const isAt = (path: string, route: string): boolean =>
  path === route || path.startsWith(`${route}/`);

const FOR_ADMINISTRATORS = ["/api/v1/users", "/api/v1/robots", "/api/v1/registry"];

/**
 * Whether a role may use a route of `/api/v1`: readers read, operators work, administrators manage who may
 * do what. Which artifacts may be deleted the registry's policy decides.
 */
export function mayUse(role: Role, method: string, path: string): boolean {
  if (role === "admin" || (method === "DELETE" && isAt(path, "/api/v1/artifacts"))) return true;
  const isReading = method === "GET" || method === "HEAD";
  // It shows who may what.
  if (isAt(path, "/api/v1/registry/policy")) return role === "operator" && isReading;
  if (FOR_ADMINISTRATORS.some((route) => isAt(path, route))) return false;
  return role === "operator" || isReading;
}
