// SPDX-License-Identifier: AGPL-3.0-or-later
import { isObject, type JsonObject } from "../../base/json.ts";
import { Refusal } from "./refusal.ts";

/** The body as an object; an absent body is `undefined`. @throws {Refusal} 400 on anything else. */
export async function optionalJsonBody(request: Request): Promise<JsonObject | undefined> {
  const text = await request.text();
  if (text === "") return undefined;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  if (!isObject(body)) {
    const message =
      "The request body submitted was malformed JSON and could not be parsed by the receiving service.";
    throw new Refusal(400, "Base.1.12.MalformedJSON", message);
  }
  return body;
}

/** An absent body counts as an empty object. @throws {Refusal} 400 when it is no object. */
export async function jsonBody(request: Request): Promise<JsonObject> {
  return (await optionalJsonBody(request)) ?? {};
}
