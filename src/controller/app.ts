// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import { getPath } from "hono/utils/url";
import type { KeyedLock } from "../base/keyed-lock.ts";
import { aboutRoutes } from "./api/about.ts";
import { artifactRoutes } from "./api/artifacts.ts";
import { type Api, UNKNOWN_HOST } from "./api/context.ts";
import { errorResponse } from "./api/errors.ts";
import { jobRoutes } from "./api/jobs.ts";
import { signedMediaRoutes, tokenMediaRoutes } from "./api/media.ts";
import { planRoutes } from "./api/plan.ts";
import { progressRoutes } from "./api/progress.ts";
import { registryAuditRoutes } from "./api/registry-audit.ts";
import { registryPolicyRoutes } from "./api/registry-policy.ts";
import { registryRoutes } from "./api/registry-routes.ts";
import { registryTokenRoutes } from "./api/registry-token.ts";
import { registryUpkeepRoutes } from "./api/registry-upkeep.ts";
import { robotRoutes } from "./api/robots.ts";
import { serverRoutes } from "./api/servers.ts";
import { statusWebhookRoutes } from "./api/status-webhook.ts";
import {
  answerError,
  refuseOtherSites,
  refusePlainHttp,
  requestLog,
  securityHeaders,
} from "./api/transport.ts";
import { userRoutes } from "./api/users.ts";
import { createAuthenticator } from "./auth/authenticator.ts";
import { createLoginLimit } from "./auth/login-limit.ts";
import { requireUser } from "./auth/middleware.ts";
import { createRegistryTokens } from "./auth/registry-token.ts";
import { type ControllerConfig, isHttpMediaOnly } from "./config.ts";
import type { MediaLibrary } from "./media/library.ts";
import type { TaskIsos } from "./media/task-iso.ts";
import type { Metrics } from "./metrics.ts";
import type { ControllerDeps } from "./ports.ts";

export interface AppParts {
  readonly config: ControllerConfig;
  readonly deps: ControllerDeps;
  readonly metrics: Metrics;
  /** By BMC URL. */
  readonly bmcLock: KeyedLock;
  readonly taskIsos: TaskIsos;
  readonly library: MediaLibrary;
  readonly areWorkersAlive: () => boolean;
}

/** All routes of the controller, in the order they are tried. */
export function createApp(parts: AppParts): Hono<Api> {
  const { config, deps, metrics, bmcLock, taskIsos, library } = parts;
  const tokens = createRegistryTokens(() => deps.store.deriveKey("registry token 1"), deps);
  const authenticator = createAuthenticator(deps.store, tokens, deps.now);
  const agentLimit = createLoginLimit(deps.now);

  const app = new Hono<Api>({ getPath: pathOf });
  app.onError((error) => answerError(error, deps));
  app.notFound(() => errorResponse("not_found", "There is nothing at this path"));
  app.use(securityHeaders(), requestLog(metrics, deps), refuseOtherSites());
  if (isHttpMediaOnly(config)) app.use(refusePlainHttp());

  app.route("/m", tokenMediaRoutes(library));
  app.route("/media", signedMediaRoutes(config, taskIsos, deps));
  app.route("/", aboutRoutes(parts, metrics, deps));

  // The agent shows its job's secret, which is no user's password: before the login.
  app.route("/api/v1/status-webhook", statusWebhookRoutes(agentLimit, metrics, deps));
  app.route("/api/v1/jobs", progressRoutes(agentLimit, deps));

  app.use("/api/v1/*", requireUser(authenticator, deps));
  app.route("/api/v1/jobs", jobRoutes(config, taskIsos, deps));
  app.route("/api/v1/servers", serverRoutes(bmcLock, deps));
  app.route("/api/v1/plan", planRoutes(config, deps));
  app.route("/api/v1/users", userRoutes(authenticator, deps));
  app.route("/api/v1/robots", robotRoutes(deps));
  app.route("/api/v1/artifacts", artifactRoutes(config, deps));
  app.route("/api/v1/registry/policy", registryPolicyRoutes(deps));
  app.route("/api/v1/registry/audit", registryAuditRoutes(deps));
  app.route("/api/v1/registry", registryUpkeepRoutes(config, deps));

  app.route("/v2/token", registryTokenRoutes({ config, authenticator, tokens, deps }));
  app.route("/v2", registryRoutes(config, authenticator, deps));
  return app;
}

/** An HTTP/1.0 request without a Host, as old BMCs send, has only a path for its URL. */
function pathOf(request: Request): string {
  return getPath(request.url.startsWith("/") ? atUnknownHost(request) : request);
}

const atUnknownHost = (request: Request): Request =>
  new Request(`http://${UNKNOWN_HOST}${request.url}`);
