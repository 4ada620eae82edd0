// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect } from "bun:test";

const UPDATE = process.env.UPDATE_GOLDEN === "1";

/**
 * Compares `actual` with the file `test/golden/<name>`, which reviewers read as the specification.
 * `UPDATE_GOLDEN=1 bun test` rewrites it; the diff is then reviewed like code.
 */
export async function expectGolden(name: string, actual: string): Promise<void> {
  const path = `${import.meta.dir}/../golden/${name}`;
  if (UPDATE) {
    await Bun.write(path, actual);
    return;
  }
  expect(actual).toBe(await Bun.file(path).text());
}
