// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock } from "../../base/deps.ts";
import { type ErrorCode, ProvError } from "../../base/errors.ts";
import { arrayAt, stringAt } from "../../base/json.ts";
import { type Millis, millis } from "../../base/units.ts";
import { RetryLater, type Verb } from "./patience.ts";
import type { Remote } from "./remote.ts";

/** What was asked for, as far as messages tell. */
export interface Attempt {
  readonly verb: Verb;
  readonly remote: Remote;
  /** What the registry does not have when it answers 404. */
  readonly subject: string;
}

interface Meaning {
  readonly code: ErrorCode;
  readonly says?: string;
  readonly hint?: string;
}

const MEANING: Readonly<Record<number, Meaning>> = {
  401: { code: "UNAUTHENTICATED", says: "it does not accept the credentials" },
  403: { code: "FORBIDDEN", says: "the credentials do not allow it" },
  409: { code: "CONFLICT" },
  507: { code: "STORAGE_FULL", says: "its storage is full" },
};

const NOT_FOUND: Readonly<Record<Verb, string>> = {
  pull: "Push the artifact, or correct its reference.",
  push: "Check the repository's name, and that this is the address of a registry.",
};

/** Enough for the error documents of the specification; more is read by nobody. */
const BODY_MAX_BYTES = 8192;

/**
 * What an answer that is not the wanted one means. Its body is used up.
 *
 * @returns a {@link ProvError} that no repetition helps, or a {@link RetryLater}.
 */
export async function refusalOf(response: Response, attempt: Attempt, now: Clock): Promise<Error> {
  const { status } = response;
  const { verb, remote, subject } = attempt;
  const reason = await reasonIn(response);
  if (isPassing(status)) {
    return new RetryLater(`HTTP ${status}`, retryAfter(response.headers.get("retry-after"), now));
  }
  const toOrFrom = verb === "pull" ? "from" : "to";
  const what = `Cannot ${verb} ${remote.repository} ${toOrFrom} ${remote.registry}`;
  const cause = reason === undefined ? {} : { cause: reason };
  if (status === 404) {
    return new ProvError(`${what}: ${subject} is not there`, {
      code: "ARTIFACT_NOT_FOUND",
      hint: NOT_FOUND[verb],
    });
  }
  const { code, says = `HTTP ${status}` } = MEANING[status] ?? { code: "ARTIFACT_INVALID" };
  return new ProvError(`${what}: ${says}`, { code, ...cause });
}

/** Answers of a registry, or of a proxy before it, that may be others in a minute. */
function isPassing(status: number): boolean {
  if (status === 408 || status === 425 || status === 429) return true;
  return status >= 500 && status !== 501 && status !== 507;
}

/** RFC 9110, section 10.2.3: seconds or a date. */
function retryAfter(header: string | null, now: Clock): Millis {
  if (header === null) return millis(0);
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now();
  return millis(Number.isFinite(ms) ? Math.max(0, ms) : 0);
}

/** distribution-spec, "Error Codes": `{"errors": [{"code", "message"}]}`. */
async function reasonIn(response: Response): Promise<string | undefined> {
  const text = await readStart(response).catch(() => "");
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return text.trim() === "" || text.startsWith("<") ? undefined : text.trim().slice(0, 300);
  }
  const errors = arrayAt(document, "errors").map((error) =>
    [stringAt(error, "code"), stringAt(error, "message")].filter(Boolean).join(": "),
  );
  return errors.join("; ") || undefined;
}

async function readStart(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > BODY_MAX_BYTES) break;
  }
  return Buffer.concat(chunks).toString();
}
