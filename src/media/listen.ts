// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The listener that BMCs read media from, over HTTP or HTTPS.
 *
 * It is a node:http server because that sends any body under the Content-Length it was given, to
 * HTTP/1.0 clients as well, and in bounded memory; Bun.serve cannot (see serve.ts). Being a listener of
 * its own, it can also stay on plain HTTP for BMCs that know no other, while the API is behind TLS.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import type { Log } from "../base/deps.ts";

export interface MediaListenerOptions {
  /** 0 picks a free port. */
  readonly port: number;
  /** Address to bind; all of them when undefined. */
  readonly hostname?: string | undefined;
  /** PEM texts; plain HTTP when undefined. */
  readonly tls?: { readonly key: string; readonly cert: string } | undefined;
  /**
   * Answers a request, which comes without its body: nobody sends one to media. An answer with a body
   * must say its Content-Length, as those of serveMedia() do.
   */
  fetch(request: Request): Response | Promise<Response>;
  readonly log: Log;
}

export interface MediaListener {
  readonly port: number;
  /** Ends open transfers too. */
  close(): Promise<void>;
}

/** @throws what the system says when the address cannot be bound. */
export async function listenMedia(options: MediaListenerOptions): Promise<MediaListener> {
  const handle = (message: IncomingMessage, out: ServerResponse) => {
    answer(message, out, options).catch((error: unknown) => {
      // A path holds the medium's secret, so it is not logged.
      options.log.warn({ err: error }, "a medium was not sent to its end");
      if (out.headersSent) out.destroy();
      else out.writeHead(500, { "content-length": "0" }).end();
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
  message: IncomingMessage,
  out: ServerResponse,
  { fetch, tls }: MediaListenerOptions,
): Promise<void> {
  const response = await fetch(requestOf(message, tls === undefined ? "http" : "https"));
  out.writeHead(response.status, headersOf(response));
  if (response.body === null || message.method === "HEAD") out.end();
  else await pipeline(response.body, out);
}

function requestOf(message: IncomingMessage, scheme: "http" | "https"): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headersDistinct)) {
    for (const one of value ?? []) headers.append(name, one);
  }
  // Some BMCs send HTTP/1.0 without Host.
  const url = new URL(message.url ?? "/", `${scheme}://${message.headers.host ?? "localhost"}`);
  return new Request(url.href, { method: message.method ?? "GET", headers });
}

function headersOf(response: Response): Record<string, string> {
  const headers = Object.fromEntries(response.headers);
  // Without a length node:http would send an empty answer in chunks.
  return response.body === null ? { "content-length": "0", ...headers } : headers;
}
