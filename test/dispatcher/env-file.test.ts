// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { renderEnvFile } from "../../src/dispatcher/env-file.ts";

/** What systemd.exec(5) says of `EnvironmentFile=`, for one line: quotes, backslashes, white space. */
function readAsSystemd(line: string): [string, string] {
  const equals = line.indexOf("=");
  const raw = line.slice(equals + 1);
  if (/^["']/.test(raw)) throw new Error("starts a quoted value");
  return [line.slice(0, equals), raw.replace(/\\(.)/g, "$1").trim()];
}

/** podman's --env-file: everything behind the first "=" as it stands. */
function readAsPodman(line: string): [string, string] {
  const equals = line.indexOf("=");
  return [line.slice(0, equals), line.slice(equals + 1)];
}

describe("renderEnvFile()", () => {
  test("sorts, and leaves out what has no value", () => {
    expect(renderEnvFile({ B: "2", C: null, A: "x y" })).toBe("A=x y\nB=2\n");
  });

  test.each([
    { why: "a newline would add a key", value: "x\nEVIL=1" },
    { why: "systemd would take away quotes", value: '"x"' },
    { why: "systemd would take away the backslash", value: "a\\b" },
    { why: "systemd would take away the space", value: "x " },
    { why: "NUL ends strings", value: "a\u0000b" },
  ])("refuses a value when $why (R30)", ({ value }) => {
    expect(() => renderEnvFile({ KEY: value })).toThrow("Cannot write KEY");
  });

  test("means the same to systemd and podman, or is refused (R30)", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        let text: string;
        try {
          text = renderEnvFile({ KEY: value });
        } catch {
          return;
        }
        const lines = text.split("\n");
        expect(lines).toHaveLength(2);
        expect(readAsSystemd(lines[0] ?? "")).toEqual(["KEY", value]);
        expect(readAsPodman(lines[0] ?? "")).toEqual(["KEY", value]);
      }),
      { numRuns: 2000, examples: [['it\'s $HOME # not "a" comment'], ["größe=ü; ls"]] },
    );
  });
});
