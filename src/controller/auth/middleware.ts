// SPDX-License-Identifier: AGPL-3.0-or-later
import type { MiddlewareHandler } from "hono";
import { type Api, addressOf } from "../api/context.ts";
import { Refusal } from "../api/errors.ts";
import type { Authenticator } from "./authenticator.ts";
import { ANONYMOUS, mayUse } from "./identity.ts";

const CHALLENGE = { "www-authenticate": 'Basic realm="prov", charset="UTF-8"' };

/** Lets users through to `/api/v1` as far as their role goes. */
export function requireUser(authenticator: Authenticator): MiddlewareHandler<Api> {
  return async (c, next) => {
    const result = await authenticator.authenticate(
      c.req.header("authorization") ?? null,
      addressOf(c),
    );
    if (result.kind === "blocked") throw tooMany(result.retryAfterMs);
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
    const result = await authenticator.authenticate(
      c.req.header("authorization") ?? null,
      addressOf(c),
    );
    if (result.kind === "blocked") throw tooMany(result.retryAfterMs);
    c.set("identity", result.kind === "known" ? result.identity : ANONYMOUS);
    await next();
  };
}

function tooMany(retryAfterMs: number): Refusal {
  return new Refusal("rate_limited", "Too many failed logins from this address: wait", {
    headers: { "retry-after": String(Math.ceil(retryAfterMs / 1000)) },
  });
}
