// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { join } from "node:path";
import { silentLog } from "../../../src/base/deps.ts";
import { openPolicyFile } from "../../../src/registry/policy/policy-file.ts";
import { createRegistry } from "../../../src/registry/registry.ts";
import { temporaryDirectory } from "../../store/fresh-store.ts";

const RULES = { rules: [{ repositories: "os/**", pull: ["anonymous"] }] };

test("R51 a policy comes back from disk, and its version with it", async () => {
  using directory = temporaryDirectory();
  const before = await openPolicyFile(directory.path);
  const empty = before.version();
  const change = await before.set(RULES, empty);
  expect(change).toEqual({ kind: "set", version: before.version() });
  const after = await openPolicyFile(directory.path);
  expect(after.policy()).toEqual(before.policy());
  expect(after.policy().rules).toHaveLength(1);
  expect([after.version(), after.version() !== empty]).toEqual([before.version(), true]);
});

test("of two changes from the same version the second is told so", async () => {
  using directory = temporaryDirectory();
  const file = await openPolicyFile(directory.path);
  const version = file.version();
  const kinds = await Promise.all([
    file.set(RULES, version),
    file.set({ read_only: true }, version),
  ]);
  expect(kinds.map(({ kind }) => kind)).toEqual(["set", "outdated"]);
  expect(file.policy().readOnly).toBe(false);
  expect((await file.set({ read_only: true }, null)).kind).toBe("set");
});

test("what is refused changes nothing", async () => {
  using directory = temporaryDirectory();
  const file = await openPolicyFile(directory.path);
  await file.set(RULES, null);
  expect(await file.set({ read_only: 1 }, null)).toMatchObject({
    kind: "invalid",
    findings: [{ path: "/read_only" }],
  });
  expect((await openPolicyFile(directory.path)).policy()).toEqual(file.policy());
});

test.each([
  ["is no JSON", "{"],
  ["is empty", ""],
  ["has an unknown field", '{"readonly":true}'],
])("R52 a policy that %s keeps the registry closed", async (_what, text) => {
  using directory = temporaryDirectory();
  await Bun.write(join(directory.path, "policy.json"), text);
  const opened = createRegistry({ root: directory.path, log: silentLog, now: Date.now });
  await expect(opened).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringContaining("policy.json"),
  });
});
