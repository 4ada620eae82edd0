// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Job } from "../../jobs/job.ts";
import type { Role } from "../../store/store.ts";

/** Who a request comes from, as far as it was proven. */
export type Identity =
  | { readonly kind: "anonymous" }
  | { readonly kind: "user"; readonly name: string; readonly role: Role }
  /** The agent of a job that is not complete. */
  | { readonly kind: "job"; readonly job: Job };

export const ANONYMOUS: Identity = { kind: "anonymous" };

/** For log lines: `anonymous`, `user:ann`, `job:<id>`. */
export function describeIdentity(identity: Identity): string {
  switch (identity.kind) {
    case "anonymous":
      return "anonymous";
    case "user":
      return `user:${identity.name}`;
    case "job":
      return `job:${identity.job.id}`;
  }
}

/**
 * Whether a role may use a route of `/api/v1`: readers read, operators work, administrators manage users.
 */
export function mayUse(role: Role, method: string, path: string): boolean {
  if (role === "admin") return true;
  if (path === "/api/v1/users" || path.startsWith("/api/v1/users/")) return false;
  return role === "operator" || method === "GET" || method === "HEAD";
}
