// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realSleep } from "../../../src/base/deps.ts";
import { boots, probeAccelerator } from "../../../src/lab/machine/accelerator.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "prov-accelerator-"));
});
afterEach(() => rm(directory, { recursive: true }));

test("an accelerator that starts and stays silent is not used", async () => {
  const noTime = () => Promise.resolve();
  expect(await boots("tcg", directory, noTime)).toBeFalse();
});

test("the probe decides for what boots the firmware here", async () => {
  const chosen = await probeAccelerator(realSleep);
  const kvm = await boots("kvm", directory, realSleep);
  expect(chosen).toBe(kvm ? "kvm" : "tcg");
}, 20_000);
