// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Context } from "hono";
import type { Identity } from "../auth/identity.ts";

/** What a listener tells about a connection: the part of Bun's Server that the API uses. */
export interface Peer {
  requestIP(request: Request): { readonly address: string } | null;
}

/**
 * Where a request comes from. To be asked at once: the listener forgets it when the client hangs up, and what
 * the client asked for is done all the same.
 */
export function peerAddress(request: Request, peer: Peer | undefined): string {
  return peer === undefined ? LOCAL : (peer.requestIP(request)?.address ?? "unknown");
}

/** Of a request that does not come from a socket. */
const LOCAL = "local";

/** hono's types of a request to us. */
export interface Api {
  Bindings: {
    /** See {@link peerAddress}. */
    readonly address?: string;
  };
  Variables: { identity: Identity };
}

export type ApiContext = Context<Api>;

/** The peer's address, for rate limits and logs. Forwarding headers are not believed. */
export function addressOf(c: ApiContext): string {
  return c.env?.address ?? LOCAL;
}

/** The host of a request that does not say which it means: HTTP/1.0 may leave the Host out. */
export const UNKNOWN_HOST = "unknown.invalid";

export function urlOf(c: ApiContext): URL {
  return new URL(c.req.url, `http://${UNKNOWN_HOST}`);
}
