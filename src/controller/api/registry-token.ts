// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import { bytes } from "../../base/units.ts";
import { ociAnswer } from "../../registry/oci-error.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import { BASIC_CHALLENGE } from "../auth/challenge.ts";
import { describeIdentity, type Identity } from "../auth/identity.ts";
import { limitedAs, rightsOf } from "../auth/registry-access.ts";
import { type RegistryTokens, SERVICE, TOKEN_LIFETIME } from "../auth/registry-token.ts";
import { parseScopes, type Scope } from "../auth/scope.ts";
import type { ControllerConfig } from "../config.ts";
import type { ControllerDeps } from "../ports.ts";
import { readText } from "./body.ts";
import { type Api, type ApiContext, addressOf, urlOf } from "./context.ts";
import {
  authenticateClient,
  TOO_MANY_LOGINS,
  tooMany,
  wrongCredentials,
} from "./registry-routes.ts";

const FORM_LIMIT = bytes(64 * 1024);

interface TokenDeps {
  readonly config: ControllerConfig;
  readonly authenticator: Authenticator;
  readonly tokens: RegistryTokens;
  readonly deps: ControllerDeps;
}

/**
 * `/v2/token`: credentials, or none, become a token for what is asked for and allowed. GET is distribution's token
 * authentication, POST its OAuth 2 form with `grant_type=password`, which containerd tries first.
 */
export function registryTokenRoutes(parts: TokenDeps): Hono<Api> {
  return new Hono<Api>()
    .get("/", async (c) => {
      return await answer(c, urlOf(c).searchParams, parts);
    })
    .post("/", async (c) => {
      const form = new URLSearchParams(await readText(c.req.raw, FORM_LIMIT));
      if (form.get("grant_type") !== "password") {
        return ociAnswer("UNSUPPORTED", "the only grant_type here is password", { status: 400 });
      }
      const credentials = `${form.get("username") ?? ""}:${form.get("password") ?? ""}`;
      const authorization = `Basic ${Buffer.from(credentials).toString("base64")}`;
      return await answer(c, form, parts, authorization);
    });
}

async function answer(
  c: ApiContext,
  asked: URLSearchParams,
  parts: TokenDeps,
  authorization = c.req.header("authorization") ?? null,
): Promise<Response> {
  const { authenticator, config, tokens, deps } = parts;
  const result = await authenticateClient(c, authenticator, deps, authorization);
  if (result.kind === "blocked") return tooMany(TOO_MANY_LOGINS, result.retryAfterMs);
  if (result.kind !== "known" || !mayHaveToken(result.identity, result.scopes)) {
    return wrongCredentials(BASIC_CHALLENGE);
  }
  const waitMs = deps.registry.countRequest(limitedAs(result.identity, addressOf(c)));
  if (waitMs > 0) return tooMany("too many requests: wait", waitMs);
  const service = asked.get("service");
  if (service !== null && service !== SERVICE) {
    return ociAnswer("UNSUPPORTED", `the service here is "${SERVICE}"`, { status: 400 });
  }
  const { identity } = result;
  const scopes = await allowed(parseScopes(asked.getAll("scope")), identity, config, deps);
  const version = await versionOf(identity, deps);
  const token = await tokens.issue({ subject: describeIdentity(identity), version, scopes });
  return Response.json(
    {
      token,
      access_token: token,
      expires_in: TOKEN_LIFETIME / 1000,
      issued_at: new Date(deps.now()).toISOString(),
    },
    { headers: { "cache-control": "no-store" } },
  );
}

/** A token is not there to get a larger one, and a job has one of its own. */
function mayHaveToken(identity: Identity, scopes: readonly Scope[] | null): boolean {
  return scopes === null && identity.kind !== "job";
}

/** Of what was asked for, what the caller may do now. */
async function allowed(
  asked: readonly Scope[],
  identity: Identity,
  config: ControllerConfig,
  deps: ControllerDeps,
): Promise<readonly Scope[]> {
  const may = await rightsOf(identity, "", config, deps);
  return asked.flatMap((scope): readonly Scope[] => {
    if (scope.type === "registry") return may("list", "") ? [scope] : [];
    const actions = scope.actions.filter((action) => may(action, scope.name));
    return actions.length === 0 ? [] : [{ ...scope, actions }];
  });
}

async function versionOf(identity: Identity, { store }: ControllerDeps): Promise<number> {
  if (identity.kind === "user") return (await store.users.get(identity.name))?.changedAt ?? 0;
  if (identity.kind === "robot") return (await store.robots.get(identity.name))?.changedAt ?? 0;
  return 0;
}
