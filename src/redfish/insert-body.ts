// SPDX-License-Identifier: AGPL-3.0-or-later
import type { JsonObject } from "../base/json.ts";
import type { RedfishMessage } from "./answer.ts";

/** Fields of InsertMedia besides Image, in the order in which BMCs come to ask for them. */
const FIELDS = [
  "TransferProtocolType",
  "TransferMethod",
  "UserName",
  "Password",
  "Inserted",
  "WriteProtected",
] as const;
export type InsertField = (typeof FIELDS)[number];

/** Fields that a BMC which asks for one wants both of. */
const PAIRS: readonly (readonly InsertField[])[] = [
  ["UserName", "Password"],
  ["Inserted", "WriteProtected"],
];

/** Message ids by which a BMC says that it does not want a field: DSP0268, Base message registry. */
const UNWELCOME = /(Unknown|NotSupported|NotWritable|Unsupported|Duplicate)/;

/** The body of an insert: `{Image}` and the fields asked for so far. */
export function insertBody(url: string, fields: ReadonlySet<InsertField>): JsonObject {
  const values: Record<InsertField, unknown> = {
    // A scheme in upper case is the enumeration's value (DSP2046, VirtualMedia, TransferProtocolType).
    TransferProtocolType: new URL(url).protocol.slice(0, -1).toUpperCase(),
    TransferMethod: "Stream",
    // Our media need no login; BMCs that insist on one take any.
    UserName: "none",
    Password: "none",
    Inserted: true,
    WriteProtected: true,
  };
  const chosen = FIELDS.filter((field) => fields.has(field));
  return { Image: url, ...Object.fromEntries(chosen.map((field) => [field, values[field]])) };
}

/**
 * The fields to try after a refusal: more where it names one that was not sent, less where it calls a
 * sent one unknown.
 *
 * @returns undefined when the refusal is about something else.
 */
export function nextFields(
  sent: ReadonlySet<InsertField>,
  messages: readonly RedfishMessage[],
): ReadonlySet<InsertField> | undefined {
  const unwelcome = new Set<InsertField>();
  const wanted = new Set<InsertField>();
  for (const message of messages) {
    const named = FIELDS.filter((field) => isNamed(field, message));
    for (const field of named) (UNWELCOME.test(message.id) ? unwelcome : wanted).add(field);
  }
  const dropped = [...unwelcome].filter((field) => sent.has(field));
  if (dropped.length > 0) return new Set([...sent].filter((field) => !dropped.includes(field)));
  const added = [...wanted].filter((field) => !sent.has(field) && !unwelcome.has(field));
  if (added.length === 0) return undefined;
  return new Set([
    ...sent,
    ...added.flatMap((field) => PAIRS.find((p) => p.includes(field)) ?? [field]),
  ]);
}

/** Some names are also English words, so in a sentence they count only where they are marked as a name. */
function isNamed(field: InsertField, message: RedfishMessage): boolean {
  if (message.names.some((name) => name.split(/[#/]/).at(-1) === field)) return true;
  if (!["Inserted", "Password"].includes(field))
    return new RegExp(`\\b${field}\\b`).test(message.text);
  return new RegExp(`(parameter|property|field)\\s+['"#/]*${field}\\b|['"/]${field}['"]`).test(
    message.text,
  );
}
