// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Context } from "hono";
import type { Identity } from "../auth/identity.ts";

/** What a listener tells about a connection: the part of Bun's Server that the API uses. */
export interface Peer {
  requestIP(request: Request): { readonly address: string } | null;
}

/** hono's types of a request to us. */
export interface Api {
  Bindings: {
    /** Undefined when a request does not come from a socket. */
    readonly peer?: Peer | undefined;
  };
  Variables: { identity: Identity };
}

export type ApiContext = Context<Api>;

/** The peer's address, for rate limits and logs. Forwarding headers are not believed. */
export function addressOf(c: ApiContext): string {
  return c.env?.peer?.requestIP(c.req.raw)?.address ?? "local";
}

/** The host of a request that does not say which it means: HTTP/1.0 may leave the Host out. */
export const UNKNOWN_HOST = "unknown.invalid";

export function urlOf(c: ApiContext): URL {
  return new URL(c.req.url, `http://${UNKNOWN_HOST}`);
}
