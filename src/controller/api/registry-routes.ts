// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import { ociAnswer } from "../../registry/oci-error.ts";
import { wantedBy } from "../../registry/routes/router.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import { BASIC_CHALLENGE, bearerChallenge, originFor } from "../auth/challenge.ts";
import { ANONYMOUS } from "../auth/identity.ts";
import { authenticate } from "../auth/middleware.ts";
import { registryAccess } from "../auth/registry-access.ts";
import type { ControllerConfig } from "../config.ts";
import type { ControllerDeps } from "../ports.ts";
import { type Api, type ApiContext, addressOf, urlOf } from "./context.ts";

/** `Basic` of an empty name and password: podman's way to say that it has none. */
const EMPTY_BASIC = /^basic og== *$/i;

/** `/v2/`: says who asks and what they may, and leaves the rest to the registry. */
export function registryRoutes(
  config: ControllerConfig,
  authenticator: Authenticator,
  deps: ControllerDeps,
): Hono<Api> {
  return new Hono<Api>().all("/*", async (c) => {
    const origin = originFor(urlOf(c), config.publicUrls);
    const result = await authenticateClient(c, authenticator, deps);
    if (result.kind === "blocked") return tooMany(TOO_MANY_LOGINS, result.retryAfterMs);
    if (result.kind !== "known") {
      const wanted = wantedBy(c.req.raw, urlOf(c).pathname);
      const isBearer = config.registryAuth === "bearer" || isBearerHeader(c);
      return wrongCredentials(
        isBearer ? bearerChallenge(origin, wanted, "invalid_token") : BASIC_CHALLENGE,
      );
    }
    const { identity, scopes } = result;
    const caller = { identity, scopes, origin, path: c.req.path, address: addressOf(c) };
    return await deps.registry.handle(c.req.raw, await registryAccess(caller, config, deps));
  });
}

/** Like everywhere, but who comes with empty credentials is nobody, as without any. */
export async function authenticateClient(
  c: ApiContext,
  authenticator: Authenticator,
  deps: ControllerDeps,
  header = c.req.header("authorization") ?? null,
) {
  if (EMPTY_BASIC.test(header ?? "")) {
    return { kind: "known", identity: ANONYMOUS, scopes: null } as const;
  }
  return await authenticate(c, authenticator, deps, header);
}

const isBearerHeader = (c: ApiContext): boolean =>
  /^bearer /i.test(c.req.header("authorization") ?? "");

export function wrongCredentials(challenge: string): Response {
  return ociAnswer("UNAUTHORIZED", "the credentials are wrong, or not valid any more", {
    headers: { "www-authenticate": challenge },
  });
}

export const TOO_MANY_LOGINS = "too many failed logins from this address: wait";

export function tooMany(message: string, retryAfterMs: number): Response {
  return ociAnswer("TOOMANYREQUESTS", message, {
    headers: { "retry-after": String(Math.ceil(retryAfterMs / 1000)) },
  });
}
