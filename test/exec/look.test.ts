// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveInside } from "../../src/exec/inside.ts";
import { findInside, lookAt } from "../../src/exec/look.ts";

/** A merged-/usr image with absolute and escaping links, beside a secret that is not in it. */
const DIRECTORY = mkdtempSync(join(tmpdir(), "prov-look-"));
const ROOT = join(DIRECTORY, "root");
afterAll(() => rmSync(DIRECTORY, { recursive: true }));
beforeAll(() => {
  for (const path of ["etc", "usr/lib/modules/6.12", "usr/bin", "boot", "var"]) {
    mkdirSync(join(ROOT, path), { recursive: true });
  }
  const put = (path: string, text: string) => writeFileSync(join(ROOT, path), text);
  put("usr/lib/os-release", "ID=debian\n");
  put("usr/lib/modules/6.12/vmlinuz", "kernel");
  put("boot/vmlinuz-6.12", "kernel");
  put("usr/bin/tool", "");
  writeFileSync(join(DIRECTORY, "secret"), "secret");
  symlinkSync("usr/lib", join(ROOT, "lib"));
  symlinkSync("/usr/bin", join(ROOT, "bin"));
  symlinkSync("/usr/lib/os-release", join(ROOT, "etc/os-release"));
  symlinkSync("../../../../../secret", join(ROOT, "etc/escape"));
  symlinkSync("loop", join(ROOT, "etc/loop"));
});

describe("resolveInside()", () => {
  test.each([
    { path: "etc/os-release", to: "usr/lib/os-release" },
    { path: "/bin/tool", to: "usr/bin/tool" },
    { path: "lib/modules/../os-release", to: "usr/lib/os-release" },
    { path: "../../etc", to: "etc" },
    { path: "etc/escape", to: undefined },
    { path: "etc/loop", to: undefined },
    { path: "etc/nothing", to: undefined },
  ])("$path is $to inside the image", async ({ path, to }) => {
    const found = await resolveInside(ROOT, path);
    expect(found).toBe((to === undefined ? undefined : join(ROOT, to)) as string);
  });
});

describe("findInside()", () => {
  test.each([
    { glob: "boot/vmlinuz-*", is: ["boot/vmlinuz-6.12"] },
    { glob: "lib/modules/*/vmlinuz", is: ["lib/modules/6.12/vmlinuz"] },
    { glob: "bin/to*", is: ["bin/tool"] },
    { glob: "etc/*", is: ["etc/os-release"] },
    { glob: "nowhere/*", is: [] },
    { glob: "boot/vmlinuz-6.12/*", is: [] },
  ])("$glob finds $is", async ({ glob, is }) => {
    expect(await findInside(ROOT, glob)).toEqual([...is]);
  });
});

test("lookAt() answers what was asked and leaves out what is not there", async () => {
  const found = await lookAt({
    root: ROOT,
    find: ["boot/vmlinuz-*", "boot/*", "usr/sbin/grub-install"],
    read: ["etc/os-release", "etc/escape", "etc/nothing"],
    hash: ["usr/lib/modules/6.12/vmlinuz", "user-data"],
  });
  expect(found).toEqual({
    paths: ["boot/vmlinuz-6.12"],
    texts: { "etc/os-release": "ID=debian\n" },
    sha256: {
      "usr/lib/modules/6.12/vmlinuz": new Bun.CryptoHasher("sha256").update("kernel").digest("hex"),
    },
  });
});
