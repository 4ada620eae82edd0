// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The listener for BMCs: media and nothing else, over HTTP or HTTPS.
 *
 * It is a node:http server because that sends any body under the Content-Length it was given, to
 * HTTP/1.0 clients as well, and in bounded memory; Bun.serve cannot (see serve.ts). Being a listener of
 * its own, it can also stay on plain HTTP for BMCs that know no other, while the API is behind TLS.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Log } from "../base/deps.ts";
import { answerMedia, type MediaSource } from "./answer.ts";
import { spanChunks } from "./spans.ts";

export interface MediaListenerOptions {
  /** 0 picks a free port. */
  readonly port: number;
  /** Address to bind; all of them when undefined. */
  readonly hostname?: string | undefined;
  /** PEM texts; plain HTTP when undefined. */
  readonly tls?: { readonly key: string; readonly cert: string } | undefined;
  /** The medium at a URL's path, without its query; undefined is answered with 404. */
  find(path: string): Medium | undefined | Promise<Medium | undefined>;
  readonly log: Log;
}

export interface Medium {
  readonly source: MediaSource;
  /** Told of each GET that is answered with content, before the first byte is sent. */
  onContent?(bytes: number): void;
}

export interface MediaListener {
  readonly port: number;
  /** Ends open transfers too. */
  close(): Promise<void>;
}

export async function listenMedia(options: MediaListenerOptions): Promise<MediaListener> {
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    answer(request, response, options).catch((error: unknown) => {
      // A path holds the medium's secret, so it is not logged.
      options.log.warn({ err: error }, "a medium was not sent to its end");
      if (response.headersSent) response.destroy();
      else sendEmpty(response, 500);
    });
  };
  const server = options.tls ? createTlsServer(options.tls, handle) : createServer(handle);
  const { promise: listening, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(options.port, options.hostname, () => resolve());
  await listening;
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: MediaListenerOptions,
): Promise<void> {
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  const medium = await options.find(path);
  if (medium === undefined) {
    sendEmpty(response, 404);
    return;
  }
  const { status, headers, spans, contentBytes } = answerMedia(
    { method: request.method ?? "GET", headers: { get: (name) => headerOf(request, name) } },
    medium.source,
  );
  if (contentBytes > 0) medium.onContent?.(contentBytes);
  response.writeHead(status, headers);
  if (contentBytes === 0) response.end();
  else await pipeline(Readable.from(spanChunks(spans)), response);
}

function sendEmpty(response: ServerResponse, status: number): void {
  response.writeHead(status, { "content-length": "0" });
  response.end();
}

/** Node joins what was sent twice, except for set-cookie, which no reader of media sends. */
function headerOf(request: IncomingMessage, name: string): string | null {
  const value = request.headers[name];
  return typeof value === "string" ? value : null;
}
