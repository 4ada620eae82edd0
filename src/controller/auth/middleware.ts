// SPDX-License-Identifier: AGPL-3.0-or-later
import type { MiddlewareHandler } from "hono";
import { type Api, type ApiContext, addressOf } from "../api/context.ts";
import { Refusal, rateLimited } from "../api/errors.ts";
import type { ControllerDeps } from "../ports.ts";
import type { Authentication, Authenticator } from "./authenticator.ts";
import { mayUse } from "./identity.ts";

const CHALLENGE = { "www-authenticate": 'Basic realm="prov", charset="UTF-8"' };

/** Lets users through to `/api/v1` as far as their role goes. */
export function requireUser(
  authenticator: Authenticator,
  deps: ControllerDeps,
): MiddlewareHandler<Api> {
  return async (c, next) => {
    const result = await authenticate(c, authenticator, deps);
    if (result.kind === "blocked") {
      throw rateLimited("Too many failed logins from this address: wait", result.retryAfterMs);
    }
    if (result.kind === "known" && result.identity.kind === "robot") {
      throw new Refusal("forbidden", "A robot may use the registry, and nothing else");
    }
    // The registry's tokens are for the registry.
    if (result.kind !== "known" || result.identity.kind !== "user" || result.scopes !== null) {
      throw new Refusal("unauthorized", "This needs a user's name and password", {
        headers: CHALLENGE,
      });
    }
    const { identity } = result;
    if (!mayUse(identity.role, c.req.method, c.req.path)) {
      throw new Refusal("forbidden", `The role "${identity.role}" may not do this`);
    }
    c.set("identity", identity);
    await next();
  };
}

/** Who asks. A failed login is in the audit log before it is answered. */
export async function authenticate(
  c: ApiContext,
  authenticator: Authenticator,
  { registry }: ControllerDeps,
  header = c.req.header("authorization") ?? null,
): Promise<Authentication> {
  const address = addressOf(c);
  const result = await authenticator.authenticate(header, address);
  if (result.kind === "refused") {
    await registry.audit({
      identity: result.name ?? "anonymous",
      address,
      action: "login",
      outcome: "denied",
      reason: "wrong credentials",
    });
  }
  return result;
}
