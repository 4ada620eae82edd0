// SPDX-License-Identifier: AGPL-3.0-or-later
import type { IncomingMessage } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { connect, TLSSocket } from "node:tls";
import type { Fetch } from "../base/deps.ts";
import { ProvError } from "../base/errors.ts";
import { type Millis, seconds } from "../base/units.ts";

/** How to trust a BMC's certificate. */
export type BmcTls =
  | { readonly mode: "verify" }
  | {
      readonly mode: "pinned";
      /** SHA-256 of the DER in hex; colons and case do not matter. */
      readonly fingerprint: string;
    }
  | { readonly mode: "insecure" };

const HANDSHAKE_TIMEOUT: Millis = seconds(15);

/**
 * The `fetch` that trusts as `tls` says.
 *
 * @throws {ProvError} `CONFIG_INVALID` for plain HTTP with any mode but `insecure`.
 */
export function trustingFetch(url: string, tls: BmcTls, fetch: Fetch): Fetch {
  if (tls.mode === "insecure") {
    return (target, init) => fetch(target, { ...init, tls: { rejectUnauthorized: false } });
  }
  if (new URL(url).protocol !== "https:") {
    throw new ProvError(`Cannot trust the BMC at ${url}: plain HTTP has no certificate`, {
      code: "CONFIG_INVALID",
      hint: "Use its https:// URL, or set its TLS mode to insecure.",
    });
  }
  return tls.mode === "pinned" ? pinnedFetch(tls.fingerprint) : fetch;
}

/**
 * SHA-256 of the certificate that the server at `url` shows now, as lower-case hex. Nothing but a TLS
 * handshake is sent.
 *
 * @throws {ProvError} `BMC_UNREACHABLE`
 */
export async function readFingerprint(url: string, signal?: AbortSignal): Promise<string> {
  const { hostname, port } = new URL(url);
  // A host in brackets is how URLs write IPv6; sockets take it bare.
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({
    host,
    port: port === "" ? 443 : Number(port),
    rejectUnauthorized: false,
    ...(isIp(host) ? {} : { servername: host }),
  });
  const abort = () => socket.destroy(new Error("Canceled"));
  signal?.addEventListener("abort", abort, { once: true });
  socket.setTimeout(HANDSHAKE_TIMEOUT, () => socket.destroy(new Error("No TLS handshake in time")));
  socket.once("secureConnect", () => resolve(fingerprintOf(socket)));
  socket.once("error", reject);
  socket.once("close", () => reject(new Error("The connection was closed")));
  try {
    return await promise;
  } catch (error) {
    signal?.throwIfAborted();
    throw new ProvError(`Cannot read the certificate of ${url}`, {
      code: "BMC_UNREACHABLE",
      cause: error,
    });
  } finally {
    signal?.removeEventListener("abort", abort);
    socket.destroy();
  }
}

const isIp = (host: string): boolean => host.includes(":") || /^[\d.]+$/.test(host);

const normalize = (fingerprint: string): string => fingerprint.replaceAll(":", "").toLowerCase();

const fingerprintOf = (socket: TLSSocket): string =>
  normalize(socket.getPeerCertificate().fingerprint256);

/**
 * A `fetch` that sends nothing before the peer has shown the pinned certificate. The pin takes the place of
 * every other check: BMC certificates are self-signed, expired or issued to other names.
 *
 * It is made of node:https because global `fetch` asks `checkServerIdentity` only about certificates that
 * already passed verification: with `rejectUnauthorized: false` it is never asked at all.
 */
function pinnedFetch(pin: string): Fetch {
  return (url, init) => {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const request = httpsRequest(url, requestOptions(init), (incoming) =>
      resolve(toResponse(incoming)),
    );
    request.once("error", reject);
    request.once("socket", (socket) => {
      // With `agent: false` each request has a new socket, so this event is always still to come.
      socket.once("secureConnect", () => {
        const shown = socket instanceof TLSSocket ? fingerprintOf(socket) : "none";
        if (shown === normalize(pin)) request.end(init?.body ?? undefined);
        else request.destroy(pinMismatch(url, shown));
      });
    });
    return promise;
  };
}

function requestOptions(init: BunFetchRequestInit | undefined): RequestOptions {
  return {
    method: init?.method ?? "GET",
    headers: Object.fromEntries(new Headers(init?.headers).entries()),
    agent: false,
    rejectUnauthorized: false,
    ...(init?.signal && { signal: init.signal }),
  };
}

function toResponse(incoming: IncomingMessage): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers.set(name, String(value));
  }
  const status = incoming.statusCode ?? 502;
  // Response refuses a body, even an empty one, with these (Fetch standard, "null body status").
  const body = [204, 205, 304].includes(status) ? null : webStream(incoming);
  if (body === null) incoming.resume();
  return new Response(body, { status, headers });
}

function webStream(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  const chunks = incoming[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel() {
      incoming.destroy();
    },
  });
}

function pinMismatch(url: string, shown: string): ProvError {
  return new ProvError(
    `Cannot trust the BMC at ${new URL(url).origin}: it shows another certificate than the pinned one (SHA-256 ${shown})`,
    {
      code: "BMC_UNTRUSTED",
      hint: "Find out why the certificate changed; pin the new one only if the change was yours.",
    },
  );
}
