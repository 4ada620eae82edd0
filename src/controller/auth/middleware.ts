// SPDX-License-Identifier: AGPL-3.0-or-later
import type { MiddlewareHandler } from "hono";
import { type Api, type ApiContext, addressOf } from "../api/context.ts";
import { Refusal, rateLimited } from "../api/errors.ts";
import type { Authenticator } from "./authenticator.ts";
import { ANONYMOUS, mayUse } from "./identity.ts";

const CHALLENGE = { "www-authenticate": 'Basic realm="prov", charset="UTF-8"' };

/** Lets users through to `/api/v1` as far as their role goes. */
export function requireUser(authenticator: Authenticator): MiddlewareHandler<Api> {
  return async (c, next) => {
    const result = await authenticate(c, authenticator);
    if (result.kind === "refused" || result.identity.kind !== "user") {
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

/** Says who asks and leaves the decision to the registry, which answers in its own format. */
export function identify(authenticator: Authenticator): MiddlewareHandler<Api> {
  return async (c, next) => {
    const result = await authenticate(c, authenticator);
    c.set("identity", result.kind === "known" ? result.identity : ANONYMOUS);
    await next();
  };
}

async function authenticate(c: ApiContext, authenticator: Authenticator) {
  const header = c.req.header("authorization") ?? null;
  const result = await authenticator.authenticate(header, addressOf(c));
  if (result.kind === "blocked") {
    throw rateLimited("Too many failed logins from this address: wait", result.retryAfterMs);
  }
  return result;
}
