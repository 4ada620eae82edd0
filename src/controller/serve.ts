// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Server as BunServer } from "bun";
import { listenMedia } from "../media/listen.ts";
import { errorResponse } from "./api/errors.ts";
import { type ControllerConfig, checkConfig } from "./config.ts";
import { type Controller, createController, type InitialAdmin } from "./controller.ts";
import type { ControllerDeps } from "./ports.ts";

export interface RunningController {
  /** Where the API listens. */
  readonly urls: readonly string[];
  /** Set at the very first start only: to be shown to the operator once. */
  readonly initialAdmin: InitialAdmin | null;
  /** Lets go of all jobs and closes the listeners; the store is the caller's. */
  stop(): Promise<void>;
}

type Listener = BunServer<undefined>;
type Answer = (request: Request, listener: Listener) => Promise<Response>;

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
  const answer: Answer = async (request, listener) => {
    if (controller === undefined) return errorResponse("unavailable", "The controller is starting");
    return await controller.fetch(request, listener);
  };
  const read = (request: Request): Response | Promise<Response> => {
    const isMedium = new URL(request.url).pathname.startsWith("/m/");
    if (controller === undefined || !isMedium) return errorResponse("not_found", "Only media here");
    return controller.fetch(request);
  };
  const listeners = listen(config, answer, deps);
  const urls = listeners.map(({ url }) => url.origin);
  const media =
    config.media && (await listenMedia({ ...config.media, log: deps.log, fetch: read }));
  const publicUrls = (config.publicUrls.length > 0 ? config.publicUrls : urls).map(trimSlash);
  const mediaUrls =
    media === undefined
      ? publicUrls
      : [...publicUrls.map((url) => at(url, media.port)), ...publicUrls.filter(isHttps)];
  const ready = createController({ ...config, publicUrls }, deps, mediaUrls);
  const initialAdmin = await ready.start();
  controller = ready;
  deps.log.info({ urls, public_urls: publicUrls, media_urls: mediaUrls }, "controller ready");
  return {
    urls,
    initialAdmin,
    async stop() {
      await ready.stop();
      await Promise.all([...listeners.map((listener) => listener.stop(true)), media?.close()]);
    },
  };
}

function listen(config: ControllerConfig, fetch: Answer, deps: ControllerDeps): Listener[] {
  const common = {
    fetch,
    // Transfers and event streams take as long as they take.
    idleTimeout: 0,
    // Artifacts have no limit, and every JSON route has its own; 0 would allow no body at all.
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

/** For BMCs that read by HTTPS only. */
const isHttps = (url: string): boolean => url.startsWith("https:");

const trimSlash = (url: string): string => url.replace(/\/+$/, "");

/** The same host in plain HTTP on another port. */
function at(url: string, port: number): string {
  return `http://${new URL(url).hostname}:${port}`;
}
