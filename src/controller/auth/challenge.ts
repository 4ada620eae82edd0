// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Wanted } from "../../registry/routes/call.ts";
import { UNKNOWN_HOST } from "../api/context.ts";
import { SERVICE } from "./registry-token.ts";
import { scopeText } from "./scope.ts";

/** Which way of logging in the registry asks for. Basic credentials are taken in either case. */
export type RegistryAuth = "basic" | "bearer";

/** `WWW-Authenticate: Basic` (RFC 7617). */
export const BASIC_CHALLENGE = 'Basic realm="prov"';

/**
 * `WWW-Authenticate: Bearer` (RFC 6750, and distribution's token authentication).
 * @param origin where the client finds `/v2/token`: see {@link originFor}.
 */
export function bearerChallenge(
  origin: string,
  wanted: readonly Wanted[],
  error: "insufficient_scope" | "invalid_token" | null,
): string {
  const scope = scopeText(wanted);
  const parts = [
    `realm="${origin}/v2/token"`,
    `service="${SERVICE}"`,
    ...(scope === "" ? [] : [`scope="${scope}"`]),
    ...(error === null ? [] : [`error="${error}"`]),
  ];
  return `Bearer ${parts.join(",")}`;
}

/**
 * Where the client itself reached us. A proxy that ends TLS speaks plain HTTP to us and leaves the Host as it
 * was: the public URL with this host then says how the client speaks.
 */
export function originFor(url: URL, publicUrls: readonly string[]): string {
  const known = publicUrls.map((each) => new URL(each)).find(({ host }) => host === url.host);
  if (known !== undefined) return known.origin;
  return url.hostname === UNKNOWN_HOST ? (publicUrls[0] ?? url.origin) : url.origin;
}
