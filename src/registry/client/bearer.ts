// SPDX-License-Identifier: AGPL-3.0-or-later
import { stringAt } from "../../base/json.ts";
import type { ArtifactSource, PullDeps } from "./pull.ts";

/**
 * Gets the token that a public registry asks for even where anybody may pull (the Docker registry
 * token flow: `WWW-Authenticate: Bearer realm="…",service="…",scope="…"`).
 *
 * Our own credentials go along only when the realm is the registry itself.
 *
 * @param challenge the header of the 401.
 * @returns an Authorization header's value; undefined when there is no token to be had.
 */
export async function bearerFor(
  challenge: string | null,
  source: ArtifactSource,
  deps: PullDeps,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const url = tokenUrl(challenge, source);
  if (url === undefined) return undefined;
  const isOwn = url.origin === new URL(source.registry).origin;
  const response = await deps.fetch(url.href, {
    redirect: "error",
    ...(isOwn && source.authorization && { headers: { authorization: source.authorization } }),
    ...(source.ca !== null && { tls: { ca: source.ca } }),
    ...(signal !== undefined && { signal }),
  });
  if (response.status >= 500) throw new Error(`${url.host} answers HTTP ${response.status}`);
  if (!response.ok) return undefined;
  const body: unknown = await response.json();
  const token = stringAt(body, "token") ?? stringAt(body, "access_token");
  return token === undefined ? undefined : `Bearer ${token}`;
}

function tokenUrl(challenge: string | null, source: ArtifactSource): URL | undefined {
  const [, rest] = /^Bearer\s+(.*)$/i.exec(challenge ?? "") ?? [];
  const values = new Map(
    Array.from((rest ?? "").matchAll(/(\w+)="([^"]*)"/g), (m) => [m[1], m[2]] as const),
  );
  const url = URL.parse(values.get("realm") ?? "");
  // A token must not be asked for in the clear when the registry itself is not.
  const isSafe = url?.protocol === "https:" || source.registry.startsWith("http:");
  if (url === null || !isSafe) return undefined;
  const service = values.get("service");
  if (service !== undefined) url.searchParams.set("service", service);
  const scope = values.get("scope") ?? `repository:${source.repository}:pull`;
  url.searchParams.set("scope", scope);
  return url;
}
