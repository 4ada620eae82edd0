// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * One GET to a registry, and the patience to ask again. A request ends in a response with content, in
 * a {@link ProvError} that no repetition helps, or in any other error: then it may be repeated.
 */
import { ProvError } from "../../base/errors.ts";
import { formatDuration, type Millis, millis, minutes, seconds } from "../../base/units.ts";
import { bearerFor } from "./bearer.ts";
import type { ArtifactSource, PullDeps } from "./pull.ts";

const DEFAULT_PATIENCE: Millis = minutes(15);
const FIRST_PAUSE = millis(500);
const LONGEST_PAUSE = seconds(15);
const MAX_REDIRECTS = 5;

/**
 * GETs a path of the registry, with a bearer token where it asks for one.
 *
 * @throws {ProvError} `UNAUTHENTICATED`, `FORBIDDEN`, `ARTIFACT_NOT_FOUND`, `ARTIFACT_INVALID`
 * @throws {Error} for what may be better the next time.
 */
export async function ask(
  source: ArtifactSource,
  path: string,
  headers: Readonly<Record<string, string>>,
  deps: PullDeps,
  signal: AbortSignal | undefined,
): Promise<Response> {
  const request = { source, path, headers, deps, signal };
  const first = await follow(request, source.authorization);
  if (first.ok) return first;
  if (first.status !== 401) throw refused(source, first);
  const bearer = await bearerFor(first.headers.get("www-authenticate"), source, deps, signal);
  const second = bearer === undefined ? first : await follow(request, bearer);
  if (second.ok) return second;
  throw refused(source, second);
}

interface Asked {
  readonly source: ArtifactSource;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly deps: PullDeps;
  readonly signal: AbortSignal | undefined;
}

/**
 * Redirects are followed here, so that the credentials stay with the registry's own origin (RFC
 * 9110, section 15.4). The body of a response that is not ok has been given up.
 */
async function follow(asked: Asked, authorization: string | null): Promise<Response> {
  const { source, path, headers, deps, signal } = asked;
  const origin = new URL(source.registry).origin;
  let url = new URL(source.registry.replace(/\/+$/, "") + path);
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const isOwn = url.origin === origin;
    const response = await deps.fetch(url.href, {
      redirect: "manual",
      // Bun would unpack a blob that happens to be served with a Content-Encoding.
      decompress: false,
      headers: {
        ...headers,
        "accept-encoding": "identity",
        ...(authorization !== null && isOwn && { authorization }),
      },
      ...(source.ca !== null && { tls: { ca: source.ca } }),
      ...(signal !== undefined && { signal }),
    });
    if (response.ok) return response;
    await response.body?.cancel();
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    url = new URL(location, url);
  }
  throw new ProvError(`Cannot pull from ${source.registry}: it redirects without end`, {
    code: "ARTIFACT_INVALID",
  });
}

function refused(source: ArtifactSource, response: Response): Error {
  const { status } = response;
  const what = `${source.repository} from ${source.registry}`;
  if (status === 401) {
    return new ProvError(`Cannot pull ${what}: it does not accept the credentials`, {
      code: "UNAUTHENTICATED",
    });
  }
  if (status === 403) {
    return new ProvError(`Cannot pull ${what}: the credentials do not allow it`, {
      code: "FORBIDDEN",
    });
  }
  if (status === 404) {
    return new ProvError(`Cannot pull ${what}: ${source.reference} is not there`, {
      code: "ARTIFACT_NOT_FOUND",
      hint: "Push the artifact, or correct its reference.",
    });
  }
  if (status >= 500 || status === 408 || status === 429) return new RetryLater(response);
  return new ProvError(`Cannot pull ${what}: HTTP ${status}`, { code: "ARTIFACT_INVALID" });
}

/** The registry answered, and asks for patience. */
class RetryLater extends Error {
  readonly afterSeconds: number;
  constructor(response: Response) {
    super(`HTTP ${response.status}`);
    this.afterSeconds = Number(response.headers.get("retry-after")) || 0;
  }
}

/** Counts the time without progress, and the pauses between attempts. */
export interface Patience {
  /** Something came: the clock starts again. */
  progress(): void;
  /**
   * Waits before the next attempt.
   * @throws the error itself when no repetition helps; {@link ProvError} `REGISTRY_UNREACHABLE`
   *   when the patience is used up.
   */
  pause(error: unknown): Promise<void>;
}

export function createPatience(
  deps: PullDeps,
  name: string,
  signal: AbortSignal | undefined,
): Patience {
  const patience = deps.patience ?? DEFAULT_PATIENCE;
  let since = deps.now();
  let wait: number = FIRST_PAUSE;
  return {
    progress() {
      since = deps.now();
      wait = FIRST_PAUSE;
    },
    async pause(error) {
      signal?.throwIfAborted();
      if (error instanceof ProvError) throw error;
      if (deps.now() - since + wait > patience) {
        throw new ProvError(
          `Cannot pull ${name}: nothing came for ${formatDuration(deps.now() - since)}`,
          {
            code: "REGISTRY_UNREACHABLE",
            cause: error,
            hint: "Check that the registry is up and that the server's network reaches it.",
          },
        );
      }
      const asked = error instanceof RetryLater ? error.afterSeconds * 1000 : 0;
      const pause = millis(Math.min(Math.max(wait, asked), LONGEST_PAUSE));
      deps.log.warn({ artifact: name, err: error, pause_ms: pause }, "pull interrupted");
      await deps.sleep(pause, signal);
      wait = Math.min(wait * 2, LONGEST_PAUSE);
    },
  };
}

/** Repeats `attempt` until it succeeds. @throws as {@link Patience.pause}. */
export async function askPatiently<T>(
  deps: PullDeps,
  name: string,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  const patience = createPatience(deps, name, signal);
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      await patience.pause(error);
    }
  }
}
