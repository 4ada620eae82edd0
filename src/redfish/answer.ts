// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import { arrayAt, at, isObject, stringAt } from "../base/json.ts";
import { formatBytes, mib } from "../base/units.ts";

/** An HTTP answer of a BMC, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The parsed JSON; undefined when the body is empty or is not JSON. */
  readonly body: unknown;
  readonly text: string;
}

/** One message of a Redfish error (DSP0266, "Error responses") or of a Task. */
export interface RedfishMessage {
  /** `Base.1.8.ActionParameterMissing`; empty when the BMC gave none. */
  readonly id: string;
  readonly text: string;
  /** `MessageArgs` and `RelatedProperties`: where the BMC names what it speaks about. */
  readonly names: readonly string[];
}

/** No Redfish resource prov reads comes near this; a BMC that sends more is broken or is no BMC. */
const LARGEST_BODY = mib(1);

const EXCERPT_CHARS = 300;

export const isOk = (answer: Answer): boolean => answer.status >= 200 && answer.status < 300;

/** @throws {ProvError} `BMC_REFUSED` when the body is larger than 1 MiB. */
export async function readAnswer(response: Response): Promise<Answer> {
  const text = await readBounded(response);
  return { status: response.status, headers: response.headers, body: parseJson(text), text };
}

async function readBounded(response: Response): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.byteLength;
    if (size > LARGEST_BODY) {
      throw new ProvError(
        `Cannot read the answer of ${new URL(response.url || "about:blank").host || "the BMC"}: it is larger than ${formatBytes(LARGEST_BODY)}`,
        { code: "BMC_REFUSED", hint: "Check that the URL is a BMC's." },
      );
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Everything the BMC says in an error answer or a Task, in its order. */
export function messagesOf(body: unknown): readonly RedfishMessage[] {
  const entries = [
    ...arrayAt(body, "error", "@Message.ExtendedInfo"),
    ...arrayAt(body, "@Message.ExtendedInfo"),
    ...arrayAt(body, "Messages"),
  ];
  const messages = entries.filter(isObject).map((entry) => ({
    id: stringAt(entry, "MessageId") ?? "",
    text: stringAt(entry, "Message") ?? "",
    names: [...arrayAt(entry, "MessageArgs"), ...arrayAt(entry, "RelatedProperties")].filter(
      (name) => typeof name === "string",
    ),
  }));
  const general = stringAt(body, "error", "message");
  return general === undefined || messages.some((m) => m.text === general)
    ? messages
    : [...messages, { id: stringAt(body, "error", "code") ?? "", text: general, names: [] }];
}

/**
 * `HTTP 400: The parameter TransferProtocolType is missing.`, or the start of a body that is no Redfish error.
 *
 * @param hide texts to leave out.
 */
export function describeAnswer(answer: Answer, hide: readonly string[] = []): string {
  const messages = messagesOf(answer.body)
    .map((m) => m.text || m.id)
    .filter((text) => text !== "");
  const said = messages.length > 0 ? [...new Set(messages)].join(" ") : answer.text;
  const open = hide
    .filter((text) => text !== "")
    .reduce((text, secret) => text.replaceAll(secret, "…"), said);
  const shown = open.replace(/\s+/g, " ").trim();
  const excerpt = shown.length > EXCERPT_CHARS ? `${shown.slice(0, EXCERPT_CHARS)}…` : shown;
  return excerpt === "" ? `HTTP ${answer.status}` : `HTTP ${answer.status}: ${excerpt}`;
}

/** True when some message's id or text says so; `pattern` is matched against `id text`. */
export const says = (answer: Answer, pattern: RegExp): boolean =>
  messagesOf(answer.body).some((m) => pattern.test(`${m.id} ${m.text}`));

/** The values a BMC allows for a property or an action's parameter; undefined when it does not say. */
export function allowableValues(holder: unknown, name: string): readonly string[] | undefined {
  const values = at(holder, `${name}@Redfish.AllowableValues`);
  return Array.isArray(values) ? values.filter((v) => typeof v === "string") : undefined;
}
