// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { type InsertField, insertBody, nextFields } from "../../src/redfish/insert-body.ts";

const message = (id: string, text: string, ...names: string[]) => ({ id, text, names });

const CASES: {
  why: string;
  sent?: InsertField[];
  error: ReturnType<typeof message>;
  next: InsertField[] | undefined;
}[] = [
  {
    why: "an argument of the message names it",
    error: message("Base.1.8.ActionParameterMissing", "Missing.", "TransferProtocolType"),
    next: ["TransferProtocolType"],
  },
  {
    why: "a related property names it",
    error: message("Base.1.8.PropertyMissing", "", "#/TransferMethod"),
    next: ["TransferMethod"],
  },
  {
    why: "the text names it",
    sent: ["TransferProtocolType"],
    error: message("Base.1.8.GeneralError", "TransferMethod must be Stream"),
    next: ["TransferProtocolType", "TransferMethod"],
  },
  {
    why: "credentials come in pairs",
    error: message("", "The action requires the parameter UserName to be present"),
    next: ["UserName", "Password"],
  },
  {
    why: "a sent field is unknown",
    sent: ["Inserted", "WriteProtected"],
    error: message("Base.1.8.PropertyUnknown", "", "WriteProtected"),
    next: ["Inserted"],
  },
  {
    why: "the word is English, not a name",
    error: message("", "Inserted media cannot be changed. Password policy applies."),
    next: undefined,
  },
  {
    why: "it names what was sent already",
    sent: ["TransferMethod"],
    error: message("Base.1.8.ActionParameterValueError", "", "TransferMethod"),
    next: undefined,
  },
  { why: "it is about something else", error: message("X", "No licence."), next: undefined },
];

test.each(CASES)("R23: $why", ({ sent, error, next }) => {
  const found = nextFields(new Set(sent), [error]);
  expect(found && [...found]).toEqual(next);
});

test.each(["http", "https"])(
  "R23: TransferProtocolType of %s is the scheme, never URI",
  (scheme) => {
    const url = `${scheme}://192.0.2.1/m/t/boot.iso`;
    expect(insertBody(url, new Set())).toEqual({ Image: url });
    expect(insertBody(url, new Set(["TransferProtocolType"]))).toEqual({
      Image: url,
      TransferProtocolType: scheme.toUpperCase(),
    });
  },
);
