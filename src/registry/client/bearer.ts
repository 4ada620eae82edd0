// SPDX-License-Identifier: AGPL-3.0-or-later
import { stringAt } from "../../base/json.ts";
import type { Verb } from "./patience.ts";
import type { ClientDeps, Remote } from "./remote.ts";

/** What a token must allow; the registry's own challenge knows better where it says so. */
const ACTIONS: Readonly<Record<Verb, string>> = { pull: "pull", push: "pull,push" };

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
  remote: Remote,
  verb: Verb,
  deps: ClientDeps,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const url = tokenUrl(challenge, remote, verb);
  if (url === undefined) return undefined;
  const isOwn = url.origin === new URL(remote.registry).origin;
  const response = await deps.fetch(url.href, {
    redirect: "error",
    ...(isOwn && remote.authorization && { headers: { authorization: remote.authorization } }),
    ...(remote.ca !== null && { tls: { ca: remote.ca } }),
    ...(signal !== undefined && { signal }),
  });
  if (response.status >= 500) throw new Error(`${url.host} answers HTTP ${response.status}`);
  if (!response.ok) return undefined;
  const body: unknown = await response.json();
  const token = stringAt(body, "token") ?? stringAt(body, "access_token");
  return token === undefined ? undefined : `Bearer ${token}`;
}

function tokenUrl(challenge: string | null, remote: Remote, verb: Verb): URL | undefined {
  const [, rest] = /^Bearer\s+(.*)$/i.exec(challenge ?? "") ?? [];
  const values = new Map(
    Array.from((rest ?? "").matchAll(/(\w+)="([^"]*)"/g), (m) => [m[1], m[2]] as const),
  );
  const url = URL.parse(values.get("realm") ?? "");
  // A token must not be asked for in the clear when the registry itself is not.
  const isSafe = url?.protocol === "https:" || remote.registry.startsWith("http:");
  if (url === null || !isSafe) return undefined;
  const service = values.get("service");
  if (service !== undefined) url.searchParams.set("service", service);
  const scope = values.get("scope") ?? `repository:${remote.repository}:${ACTIONS[verb]}`;
  url.searchParams.set("scope", scope);
  return url;
}
