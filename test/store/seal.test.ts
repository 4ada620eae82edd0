// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Sealer } from "../../src/store/seal.ts";
import { KEY } from "./fresh-store.ts";

const random = (n: number) => crypto.getRandomValues(new Uint8Array(n));
const sealer = new Sealer(KEY, random);

describe("Sealer", () => {
  test("gives back what was sealed", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(sealer.unseal("p", sealer.seal("p", text))).toBe(text);
      }),
    );
  });

  test("never makes the same box twice", () => {
    expect(sealer.seal("p", "x")).not.toEqual(sealer.seal("p", "x"));
  });

  test("opens no box of another place or key, and none with a changed bit", () => {
    const box = sealer.seal("servers.bmc_password/SN1", "secret");
    expect(() => sealer.unseal("servers.bmc_password/SN2", box)).toThrow("the key is another");
    const other = new Sealer(new Uint8Array(32).fill(8), random);
    expect(() => other.unseal("servers.bmc_password/SN1", box)).toThrow(TypeError);
    for (let i = 0; i < box.length; i++) {
      const changed = box.map((byte, at) => (at === i ? byte ^ 1 : byte));
      expect(() => sealer.unseal("servers.bmc_password/SN1", changed)).toThrow(TypeError);
    }
    for (let length = 0; length < box.length; length++) {
      expect(() => sealer.unseal("servers.bmc_password/SN1", box.subarray(0, length))).toThrow(
        TypeError,
      );
    }
  });
});
