// SPDX-License-Identifier: AGPL-3.0-or-later
import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import type { Metrics } from "../metrics.ts";
import type { ControllerDeps } from "../ports.ts";
import { type Api, addressOf, urlOf } from "./context.ts";
import { answerTo, Refusal } from "./errors.ts";

const HEADERS: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
};

/** OWASP Secure Headers; HSTS where it means something. */
export function securityHeaders(): MiddlewareHandler<Api> {
  return async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(HEADERS)) c.res.headers.set(name, value);
    if (c.req.url.startsWith("https:")) {
      c.res.headers.set("strict-transport-security", "max-age=31536000");
    }
  };
}

/** What goes over plain HTTP beside an HTTPS listener: media for BMCs that cannot do TLS, and health. */
const OPEN_PATHS = /^\/(?:m\/|media\/|healthz$|readyz$|about$)/;

export function refusePlainHttp(): MiddlewareHandler<Api> {
  return async (c, next) => {
    if (!c.req.url.startsWith("https:") && !OPEN_PATHS.test(c.req.path)) {
      throw new Refusal("tls_required", "Use HTTPS: plain HTTP serves media only");
    }
    await next();
  };
}

/**
 * A browser adds the password that it remembers to whatever a page sends here, a page of another site as well, and
 * says whose page it was (OWASP CSRF Prevention Cheat Sheet, "Verifying Origin"). Other clients send no Origin.
 */
export function refuseOtherSites(): MiddlewareHandler<Api> {
  return async (c, next) => {
    const origin = c.req.header("origin");
    const isReading = c.req.method === "GET" || c.req.method === "HEAD";
    if (origin !== undefined && !isReading && URL.parse(origin)?.host !== urlOf(c).host) {
      throw new Refusal("forbidden", "A page of another site may change nothing here");
    }
    await next();
  };
}

/** One log line per request. It names the route's pattern: paths hold tokens and serials. */
export function requestLog(metrics: Metrics, deps: ControllerDeps): MiddlewareHandler<Api> {
  return async (c, next) => {
    const start = deps.now();
    await next();
    const route = routePath(c, -1);
    const code = c.res.status;
    metrics.count("http_requests_total", { route, code: `${code}` });
    if (code === 401 || code === 429) metrics.count("auth_failures_total", { code: `${code}` });
    const fields = {
      method: c.req.method,
      route,
      status: code,
      duration_ms: deps.now() - start,
      address: addressOf(c),
    };
    // Media and blobs come by the thousand Range requests.
    if (code < 400 && /^\/(?:m|v2|healthz|readyz|metrics)\b/.test(route)) {
      deps.log.debug(fields, "request");
    } else deps.log.info(fields, "request");
  };
}

/** What an error that nobody expected leaves in the log; the client gets its name only. */
export function answerError(error: unknown, deps: ControllerDeps): Response {
  const response = answerTo(error);
  if (response.status >= 500) deps.log.error({ err: error }, "request failed");
  return response;
}
