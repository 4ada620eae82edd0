// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { sha256Hex, uuidFrom } from "../../src/plan/hash.ts";

describe("sha256Hex()", () => {
  test("agrees with the platform's SHA-256", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const expected = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
        expect(sha256Hex(bytes)).toBe(expected);
      }),
    );
    const text = "Grüße ".repeat(1000);
    expect(sha256Hex(text)).toBe(new Bun.CryptoHasher("sha256").update(text).digest("hex"));
  });
});

describe("uuidFrom()", () => {
  test("is a version 8 UUID that depends on the name alone", () => {
    expect(uuidFrom("a")).toBe("ca978112-ca1b-8dca-bac2-31b39a23dc4d");
    expect(uuidFrom("a")).not.toBe(uuidFrom("b"));
    fc.assert(
      fc.property(fc.string(), (name) => {
        expect(uuidFrom(name)).toMatch(
          /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
        );
      }),
    );
  });
});
