// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import fc from "fast-check";
import { rawMember } from "../../src/controller/api/raw-member.ts";

test.each([
  ['{"recipe":{}}', "{}"],
  [' {\n "a" : [1, {"recipe": 2}] ,\t"recipe" : { "x" : "}\\"" } } ', '{ "x" : "}\\"" }'],
  ['{"recipe":-1.50e+3}', "-1.50e+3"],
  ['{"recipe":true,"x":1}', "true"],
  ['{"\\u0072ecipe":"a"}', '"a"'],
  ['{"recipe":1,"recipe":2}', "2"],
  ['{"x":{"recipe":1}}', undefined],
  ["{}", undefined],
])("rawMember() of %s is %p", (text, expected) => {
  expect(rawMember(text, "recipe")).toBe(expected);
});

test("rawMember() is the text of what JSON.parse finds, for any object and spacing", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(4), (object, indent) => {
      const text = JSON.stringify(object, null, indent);
      const parsed: unknown = JSON.parse(text);
      for (const [key, value] of Object.entries(parsed as Record<string, unknown>)) {
        expect(JSON.parse(rawMember(text, key) ?? "none")).toEqual(value);
      }
    }),
  );
});
