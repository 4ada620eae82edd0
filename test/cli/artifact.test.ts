// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { World } from "./world.ts";

test("a file goes up, is listed, comes down the same and is removed", async () => {
  await using world = await World.open();
  const content = crypto.getRandomValues(new Uint8Array(300_000));
  const file = await world.file("root.tar.zst", content);
  const pushed = await world.run(`artifact push ${file} os-images/debian:13`);
  expect(pushed).toMatchObject({ code: 0, err: "" });
  expect(pushed.out).toMatch(/^os-images\/debian:13 sha256:[0-9a-f]{64}$/);
  const digest = pushed.out.split(" ")[1] ?? "";

  const again = await world.run(`artifact push ${file} os-images/debian:13 --json`);
  expect(JSON.parse(again.out)).toEqual({ reference: "os-images/debian:13", digest });

  const listed = await world.run("artifact list");
  expect(listed.out.split("\n")[0]).toMatch(/^ARTIFACT +DIGEST +UPDATED$/);
  expect(listed.out.split("\n")[1]).toMatch(
    new RegExp(`^os-images/debian:13 +${digest} +20\\d\\d-`),
  );

  const copy = join(world.directory, "copy");
  for (const reference of ["os-images/debian:13", `os-images/debian@${digest}`]) {
    const pulled = await world.run(`artifact pull ${reference} ${copy}`);
    expect(pulled).toMatchObject({ code: 0, err: "" });
    expect(await Bun.file(copy).bytes()).toEqual(content);
  }

  const removed = await world.run("artifact rm os-images/debian:13", { as: "admin" });
  expect(removed).toEqual({ code: 0, out: "os-images/debian:13 removed", err: "" });
  expect(JSON.parse((await world.run("artifact list --json")).out)).toEqual({ artifacts: [] });
  const gone = await world.run("artifact rm os-images/debian:13", { as: "admin" });
  expect(gone).toEqual({
    code: 1,
    out: "",
    err: 'prov: There is no artifact "os-images/debian:13"',
  });
});

test.each([
  {
    what: "an artifact that is not there",
    words: "artifact pull os-images/none:1 copy",
    code: 1,
    err: /^prov: Cannot pull os-images\/none .*: 1 is not there\n {2}Push the artifact/,
  },
  {
    what: "a file that is not there",
    words: "artifact push /nonexistent/root.tar os-images/debian:13",
    code: 2,
    err: /^prov: Cannot read \/nonexistent\/root\.tar: there is no such file$/,
  },
  {
    what: "another registry",
    words: "artifact push /etc/hostname docker.io/debian:13",
    code: 2,
    err: /without a registry host\n {2}These commands speak/,
  },
  {
    what: "a reference that is none",
    words: "artifact rm Debian:13",
    code: 1,
    err: /"Debian" is not a repository name/,
  },
])("says what is wrong with $what", async ({ words, code, err }) => {
  await using world = await World.open();
  const ran = await world.run(words);
  expect(ran).toMatchObject({ code, out: "" });
  expect(ran.err).toMatch(err);
});

test("nobody but a user of the controller pushes (exit code 6)", async () => {
  await using world = await World.open();
  const file = await world.file("x.tar", "x");
  const words = `artifact push ${file} os-images/debian:13`;
  expect((await world.run(words, { as: "stranger" })).code).toBe(6);
  expect((await world.run(words, { as: "reader" })).code).toBe(6);
});

test("a pull that fails leaves no file, and says why", async () => {
  await using world = await World.open();
  const file = await world.file("root.tar", "x".repeat(1000));
  await world.run(`artifact push ${file} a:1`);
  const ran = await world.run("artifact pull a:1 /nonexistent/copy");
  expect(ran).toMatchObject({ code: 2, out: "" });
  expect(ran.err).toBe("prov: Cannot write /nonexistent/copy: there is no such file");
  expect(existsSync("/nonexistent/copy.part")).toBe(false);
});
