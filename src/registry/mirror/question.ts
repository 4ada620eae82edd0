// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Questions to upstream that have a short answer: what a tag names, how long a blob is, a manifest,
 * a list. Each ends within its time, in an answer or in a {@link ProvError}.
 */
import { ProvError } from "../../base/errors.ts";
import { arrayAt } from "../../base/json.ts";
import { formatBytes, type Millis } from "../../base/units.ts";
import type { Conversation } from "../client/conversation.ts";
import { createPatience, patiently } from "../client/patience.ts";
import { type ClientDeps, nameOf, type Remote } from "../client/remote.ts";
import { type Digest, parseDigest } from "../digest.ts";
import { MEDIA_TYPE } from "../manifest.ts";

export interface Asking extends ClientDeps {
  /** The answer is there after so long, or there is none. */
  readonly within: Millis;
}

export interface Question {
  readonly remote: Remote;
  readonly talk: Conversation;
  /** Below the repository, or a URL. */
  readonly path: string;
  readonly method?: "GET" | "HEAD";
  /** What is asked about, for messages: a tag or a digest. */
  readonly subject: string;
}

/** Whatever a manifest may be served as: it is stored and served on as it is. */
const ACCEPT = [...Object.values(MEDIA_TYPE), "*/*;q=0.1"].join(", ");
const LIST_PAGES_MAX = 100;
const LIST_PAGE_MAX_BYTES = 16 * 1024 * 1024;

/** Asks, patiently. @param read takes what is wanted out of the answer; it may be repeated. */
export async function question<T>(
  asked: Question,
  asking: Asking,
  read: (response: Response) => T | Promise<T>,
): Promise<T> {
  const { talk, path, method = "GET", subject, remote } = asked;
  return await within(asking, remote, async (signal) => {
    const patience = createPatience(asking, "pull", nameOf(remote, subject), signal);
    return await patiently(patience, async () => {
      const headers = { accept: ACCEPT };
      const response = await talk.ask({ path, method, subject, headers, signal });
      try {
        return await read(response);
      } finally {
        if (!response.bodyUsed) await response.body?.cancel();
      }
    });
  });
}

/** @throws {ProvError} also for what is none otherwise: the time is up. */
export async function within<T>(
  asking: Asking,
  { registry, repository }: Remote,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  try {
    return await work(AbortSignal.timeout(asking.within));
  } catch (error) {
    if (error instanceof ProvError) throw error;
    throw new ProvError(`Cannot ask ${registry} about ${repository}`, {
      code: "REGISTRY_UNREACHABLE",
      cause: error,
      hint: "Check that the upstream registry is up and that the network reaches it from here.",
    });
  }
}

/** All pages of a list: distribution-spec, "Listing Tags" and "Listing Referrers". */
export async function list(first: Question, key: string, asking: Asking): Promise<unknown[]> {
  const items: unknown[] = [];
  let path: string | undefined = first.path;
  for (let page = 0; page < LIST_PAGES_MAX && path !== undefined; page++) {
    path = await question({ ...first, path }, asking, async (response) => {
      const bytes = await readLimited(first, response);
      items.push(...arrayAt(readJson(first, bytes), key));
      return nextPage(first.remote, response);
    });
  }
  return items;
}

/** What its digest header says (distribution-spec, "Checking if content exists"). */
export function digestSaid(response: Response): Digest | undefined {
  return parseDigest(response.headers.get("docker-content-digest") ?? "");
}

/** Bytes, as its Content-Length says. */
export function sizeSaid(response: Response): number | undefined {
  const text = response.headers.get("content-length");
  return text !== null && /^\d+$/.test(text) ? Number(text) : undefined;
}

async function readLimited(asked: Question, response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > LIST_PAGE_MAX_BYTES) {
      throw useless(asked, `its answer is longer than ${formatBytes(LIST_PAGE_MAX_BYTES)}`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function readJson(asked: Question, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw useless(asked, "its answer is not JSON", cause);
  }
}

/** RFC 8288: `</v2/…?last=…>; rel="next"`. Only a page of the same registry is asked for. */
function nextPage({ registry }: Remote, response: Response): string | undefined {
  const [, target] =
    /<([^>]+)>\s*;[^,]*rel="?next"?/.exec(response.headers.get("link") ?? "") ?? [];
  const url = target === undefined ? null : URL.parse(target, response.url || registry);
  return url?.origin === new URL(registry).origin ? url.href : undefined;
}

/** Upstream answered, and not with what can be used. */
export function useless(
  { remote, subject }: Pick<Question, "remote" | "subject">,
  why: string,
  cause?: unknown,
): ProvError {
  return new ProvError(`Cannot use ${nameOf(remote, subject)} from ${remote.registry}: ${why}`, {
    code: "ARTIFACT_INVALID",
    ...(cause !== undefined && { cause }),
  });
}

/** Upstream says that it does not have it. */
export function isNotThere(error: unknown): boolean {
  return error instanceof ProvError && error.code === "ARTIFACT_NOT_FOUND";
}
