// SPDX-License-Identifier: AGPL-3.0-or-later
/** R59: the commands of docs/registry.md, run as they stand there: three controllers, oras, curl and openssl. */
import { expect, test } from "bun:test";
import { blocksOf, readDocument } from "../docs/readme.ts";
import { follow, Shell } from "./newcomer.ts";

test("docs/registry.md is as it shows (R50, R51, R59)", async () => {
  await using shell = await Shell.open();
  expect(await follow(blocksOf(await readDocument("docs/registry.md")), shell)).toBeGreaterThan(20);
}, 300_000);
