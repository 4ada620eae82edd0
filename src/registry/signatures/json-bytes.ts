// SPDX-License-Identifier: AGPL-3.0-or-later
import { isObject, type JsonObject } from "../../base/json.ts";

/** @throws {SyntaxError} when the bytes are not a JSON object in UTF-8. */
export function parseObject(bytes: Uint8Array): JsonObject {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new SyntaxError("it is not JSON", { cause });
  }
  if (!isObject(json)) throw new SyntaxError("it is not a JSON object");
  return json;
}

/** Base64 in either alphabet, with or without padding and line breaks (protobuf's JSON form allows all of them). */
export function decodeBase64(text: string): Uint8Array {
  // Apart, so that each of the two looks at a character once: megabytes of spaces must not cost minutes.
  const bare = text.replaceAll(/\s+/g, "");
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(bare)) throw new SyntaxError("it has bad base64");
  return Buffer.from(bare, "base64");
}
