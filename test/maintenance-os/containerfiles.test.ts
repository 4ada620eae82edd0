// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { join } from "node:path";
import { validate } from "dockerfile-utils";

const FOLDER = join(import.meta.dir, "../../maintenance-os");

/** Their bases cannot be pulled where the tests run: that they parse and break no rule is all that is shown. */
const lint = (text: string): string[] =>
  validate(text).map(({ range, message }) => `line ${range.start.line + 1}: ${message}`);

test.each(["Containerfile", "tools/disk-tools/Containerfile", "tools/linux-tools/Containerfile"])(
  "%s has nothing that a linter minds (R33)",
  async (name) => {
    expect(lint(await Bun.file(join(FOLDER, name)).text())).toEqual([]);
  },
);

test("the linter minds an unknown instruction", () => {
  expect(lint("FROM scratch\nCOPPY a b\n")).toEqual(["line 2: Unknown instruction: COPPY"]);
});
