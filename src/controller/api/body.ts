// SPDX-License-Identifier: AGPL-3.0-or-later
import { isObject, type JsonObject } from "../../base/json.ts";
import { type Bytes, formatBytes, mib } from "../../base/units.ts";
import { Refusal } from "./errors.ts";

/** The listener itself has no limit, because artifacts have none: every JSON route reads through here. */
export const DOCUMENT_LIMIT: Bytes = mib(4);

/**
 * The body as text, never more than `limit` of it in memory.
 * @throws {Refusal} `too_large`; `invalid_json` when it is not UTF-8.
 */
export async function readText(request: Request, limit: Bytes): Promise<string> {
  const tooLarge = () =>
    new Refusal("too_large", `The body is larger than the ${formatBytes(limit)} allowed here`);
  if (Number(request.headers.get("content-length") ?? 0) > limit) throw tooLarge();
  if (request.body === null) return "";
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.byteLength;
    if (size > limit) throw tooLarge();
    chunks.push(chunk);
  }
  const text = orUndefined(() => decoder.decode(Buffer.concat(chunks)));
  if (text === undefined) throw new Refusal("invalid_json", "The body is not UTF-8");
  return text;
}

export interface JsonBody {
  readonly text: string;
  readonly document: JsonObject;
}

/** @throws {Refusal} `too_large`, `invalid_json`, or `invalid_request` when it is no JSON object. */
export async function readObject(request: Request, limit: Bytes): Promise<JsonBody> {
  const text = await readText(request, limit);
  // The parser's own message may quote the text, which may hold secrets: it goes nowhere.
  const document = orUndefined((): unknown => JSON.parse(text));
  if (document === undefined) throw new Refusal("invalid_json", "The body is not JSON");
  if (!isObject(document)) throw new Refusal("invalid_request", "The body must be a JSON object");
  return { text, document };
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
