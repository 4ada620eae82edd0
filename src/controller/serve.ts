// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Server as BunServer } from "bun";
import { errorResponse } from "./api/errors.ts";
import { type ControllerConfig, checkConfig } from "./config.ts";
import { type Controller, createController, type InitialAdmin } from "./controller.ts";
import type { ControllerDeps } from "./ports.ts";

export interface RunningController {
  /** Where it listens. */
  readonly urls: readonly string[];
  /** Set at the very first start only: to be shown to the operator once. */
  readonly initialAdmin: InitialAdmin | null;
  /** Closes the listeners, lets go of all jobs; the store is the caller's. */
  stop(): Promise<void>;
}

type Listener = BunServer<undefined>;

/**
 * Opens the listeners and starts the workers.
 * @throws {ProvError} `CONFIG_INVALID`
 */
export async function startController(
  config: ControllerConfig,
  deps: ControllerDeps,
): Promise<RunningController> {
  checkConfig(config);
  let controller: Controller | undefined;
  const answer = async (request: Request, server: Listener): Promise<Response> => {
    const { pathname } = new URL(request.url, "http://unknown.invalid");
    // Blobs and media take as long as they take; see R55.
    if (/^\/(?:v2|m|media|api\/v1\/jobs)\//.test(pathname)) server.timeout(request, 0);
    return (
      (await controller?.fetch(request, server)) ??
      errorResponse("unavailable", "The controller is starting")
    );
  };
  const listeners = listen(config, answer, deps);
  const urls = listeners.map(({ url }) => url.origin);
  const publicUrls = config.publicUrls.length > 0 ? config.publicUrls : urls;
  controller = createController({ ...config, publicUrls: publicUrls.map(trimSlash) }, deps);
  const initialAdmin = await controller.start();
  deps.log.info({ urls }, "controller ready");
  return {
    urls,
    initialAdmin,
    async stop() {
      await controller.stop();
      await Promise.all(listeners.map((listener) => listener.stop(true)));
    },
  };
}

function listen(
  config: ControllerConfig,
  fetch: (request: Request, server: Listener) => Promise<Response>,
  deps: ControllerDeps,
): readonly Listener[] {
  const common = {
    fetch,
    idleTimeout: 0,
    // 0 would mean none; artifacts have no limit, and each JSON route has its own.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    // A thrown error would else be answered with a page of source code.
    development: false,
    error(error: Error) {
      deps.log.error({ err: error }, "request failed");
      return errorResponse("internal", "Internal error: see the controller's log");
    },
  };
  const { http, https } = config;
  const listeners: Listener[] = [];
  if (https !== null) {
    const { hostname, port, certificate: cert, key } = https;
    listeners.push(Bun.serve({ ...common, hostname, port, tls: { cert, key } }));
  }
  if (http !== null) {
    listeners.push(Bun.serve({ ...common, hostname: http.hostname, port: http.port }));
  }
  return listeners;
}

const trimSlash = (url: string): string => url.replace(/\/+$/, "");
