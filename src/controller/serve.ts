// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Server as BunServer } from "bun";
import { ProvError } from "../base/errors.ts";
import { listenMedia, type MediaListener, type MediaListenerOptions } from "../media/listen.ts";
import { errorResponse } from "./api/errors.ts";
import { type ControllerConfig, checkConfig, type ListenAddress } from "./config.ts";
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
  // Left behind after a failure, a listener would keep a process alive that does nothing.
  await using listening = new AsyncDisposableStack();
  const listeners = listen(config, answer, listening, deps);
  const urls = listeners.map(({ url }) => url.origin);
  const media = await listenForMedia(config, read, listening, deps);
  const publicUrls = (config.publicUrls.length > 0 ? config.publicUrls : urls).map(trimSlash);
  const mediaUrls =
    media === undefined
      ? publicUrls
      : [...publicUrls.map((url) => at(url, media.port)), ...publicUrls.filter(isHttps)];
  const ready = createController({ ...config, publicUrls }, deps, mediaUrls);
  const initialAdmin = await ready.start();
  controller = ready;
  const open = listening.move();
  deps.log.info({ urls, public_urls: publicUrls, media_urls: mediaUrls }, "controller ready");
  return {
    urls,
    initialAdmin,
    async stop() {
      await ready.stop();
      await open.disposeAsync();
    },
  };
}

async function listenForMedia(
  { media: address }: ControllerConfig,
  fetch: MediaListenerOptions["fetch"],
  listening: AsyncDisposableStack,
  deps: ControllerDeps,
): Promise<MediaListener | undefined> {
  if (address === undefined) return undefined;
  try {
    const media = await listenMedia({ ...address, log: deps.log, fetch });
    listening.defer(() => media.close());
    return media;
  } catch (error) {
    throw cannotListen(address, error);
  }
}

function cannotListen({ hostname, port }: ListenAddress, cause: unknown): ProvError {
  return new ProvError(`Cannot listen on ${hostname}:${port}`, { code: "CONFIG_INVALID", cause });
}

function listen(
  config: ControllerConfig,
  fetch: Answer,
  listening: AsyncDisposableStack,
  deps: ControllerDeps,
): Listener[] {
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
  const open = (address: ListenAddress, tls: { tls?: { cert: string; key: string } }): Listener => {
    const { hostname, port } = address;
    try {
      const listener = Bun.serve({ ...common, hostname, port, ...tls });
      listening.defer(() => listener.stop(true));
      return listener;
    } catch (error) {
      throw cannotListen(address, error);
    }
  };
  const tls = https && { cert: https.certificate, key: https.key };
  return [
    ...(https === null || tls === null ? [] : [open(https, { tls })]),
    ...(http === null ? [] : [open(http, {})]),
  ];
}

/** For BMCs that read by HTTPS only. */
const isHttps = (url: string): boolean => url.startsWith("https:");

const trimSlash = (url: string): string => url.replace(/\/+$/, "");

/** The same host in plain HTTP on another port. */
function at(url: string, port: number): string {
  return `http://${new URL(url).hostname}:${port}`;
}
