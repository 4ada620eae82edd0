// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Requests to one repository of a registry. Each ends in an answer that was wanted, in a
 * {@link ProvError} that no repetition helps, or in any other error: then it may be repeated
 * (`patience.ts`).
 */
import { ProvError } from "../../base/errors.ts";
import { bearerFor } from "./bearer.ts";
import type { Verb } from "./patience.ts";
import { refusalOf } from "./refusal.ts";
import type { ClientDeps, Remote } from "./remote.ts";

const MAX_REDIRECTS = 5;

export interface Ask {
  readonly method?: "GET" | "HEAD" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** Below `/v2/<repository>/`, with its query; or the URL that the registry gave an upload. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Made anew for every attempt, because a stream can be read once only. */
  readonly body?: () => Bun.BodyInit;
  /** Statuses beside 2xx that are answers and not errors. Their bodies are given up. */
  readonly expect?: readonly number[];
  /** What a 404 says is missing. */
  readonly subject: string;
  readonly signal?: AbortSignal | undefined;
}

export interface Conversation {
  /**
   * @throws {ProvError} `UNAUTHENTICATED`, `FORBIDDEN`, `ARTIFACT_NOT_FOUND`, `CONFLICT`,
   *   `STORAGE_FULL`, `ARTIFACT_INVALID`
   * @throws {Error} for what may be better the next time.
   */
  ask(ask: Ask): Promise<Response>;
}

/**
 * Begins to speak with a registry. A bearer token that it demands is got when it demands it, kept,
 * and got again when it has expired.
 *
 * @param verb decides which scope such a token is asked for.
 */
export function converse(remote: Remote, verb: Verb, deps: ClientDeps): Conversation {
  let { authorization } = remote;
  return {
    async ask(ask) {
      const wanted = (response: Response) =>
        response.ok || ask.expect?.includes(response.status) === true;
      let response = await follow(remote, ask, deps, authorization);
      if (response.status === 401) {
        const challenge = response.headers.get("www-authenticate");
        const bearer = await bearerFor(challenge, remote, verb, deps, ask.signal);
        if (bearer !== undefined) {
          authorization = bearer;
          await response.body?.cancel();
          response = await follow(remote, ask, deps, bearer);
        }
      }
      if (!wanted(response)) {
        throw await refusalOf(response, { verb, remote, subject: ask.subject }, deps.now);
      }
      if (!response.ok) await response.body?.cancel();
      return response;
    },
  };
}

/**
 * Redirects are followed here, so that the credentials stay with the registry's own origin (RFC
 * 9110, section 15.4).
 */
async function follow(
  remote: Remote,
  ask: Ask,
  deps: ClientDeps,
  authorization: string | null,
): Promise<Response> {
  const origin = new URL(remote.registry).origin;
  let url = urlOf(remote, ask.path);
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const isOwn = url.origin === origin;
    const response = await deps.fetch(url.href, {
      method: ask.method ?? "GET",
      redirect: "manual",
      // Bun would unpack a blob that happens to be served with a Content-Encoding.
      decompress: false,
      headers: {
        ...ask.headers,
        "accept-encoding": "identity",
        ...(authorization !== null && isOwn && { authorization }),
      },
      ...(ask.body !== undefined && { body: ask.body() }),
      ...(remote.ca !== null && { tls: { ca: remote.ca } }),
      ...(ask.signal !== undefined && { signal: ask.signal }),
    });
    const next = redirectOf(response, ask, url);
    if (next === undefined) return response;
    await response.body?.cancel();
    url = next;
  }
  throw new ProvError(`Cannot use ${remote.registry}: it redirects without end`, {
    code: "ARTIFACT_INVALID",
  });
}

function urlOf({ registry, repository }: Remote, path: string): URL {
  if (URL.canParse(path)) return new URL(path);
  const base = registry.replace(/\/+$/, "");
  return new URL(`${base}/v2/${repository}/${path}`);
}

/** 301 to 303 may turn any method into GET, so they are followed for reading only. */
function redirectOf(response: Response, { method = "GET" }: Ask, from: URL): URL | undefined {
  const { status } = response;
  const isRead = method === "GET" || method === "HEAD";
  const isRedirect = status === 307 || status === 308 || (isRead && status > 300 && status < 304);
  const location = response.headers.get("location");
  return isRedirect && location !== null ? new URL(location, from) : undefined;
}
