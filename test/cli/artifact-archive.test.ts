// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { FakeTerminal } from "./fake-terminal.ts";
import { World } from "./world.ts";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");

async function worldWithArtifacts() {
  const world = await World.open();
  const file = await world.file("root.tar.zst", new Uint8Array(300_000).fill(7));
  for (const name of ["os/debian:12", "os/debian:13", "tools/imager:1"]) {
    await world.run(`artifact push ${file} ${name}`);
  }
  await world.file("key.pem", privateKey.export({ type: "pkcs8", format: "pem" }));
  await world.file("key.pub", publicKey.export({ type: "spki", format: "pem" }));
  return world;
}

test("R48: what is exported, signed, is imported elsewhere and said in one line each", async () => {
  await using world = await worldWithArtifacts();
  const at = (name: string) => join(world.directory, name);
  const words = `artifact export os/** --output=${at("os.tar")} --sign-key=${at("key.pem")}`;
  const exported = await world.run(words);
  expect(exported).toMatchObject({ code: 0, err: "" });
  expect(exported.out).toMatch(
    /os\.tar: 2 artifacts, 2 blobs, [\d.]+ KiB, signed by sha256:[0-9a-f]{64}$/,
  );
  const dry = await world.run(`artifact import ${at("os.tar")} --into=mirror --dry-run`);
  expect(dry.out).toBe("2 artifacts: 2 blobs to send, 293.0 KiB, 0 already there, 2 tags to set");
  expect(dry.err).toMatch(/os\.tar is signed by sha256:[0-9a-f]{64}; nobody checked that/);
  const verify = `--verify-key=${at("key.pub")}`;
  const imported = await world.run(`artifact import ${at("os.tar")} --into=mirror ${verify}`);
  expect(imported).toEqual({
    ...{ code: 0, err: "" },
    out: "2 artifacts: 2 blobs sent, 293.0 KiB, 0 already there, 2 tags set",
  });
  const listed = JSON.parse((await world.run("artifact list --json")).out);
  expect(
    listed.artifacts.map(({ repository, tag }: Record<string, string>) => `${repository}:${tag}`),
  ).toEqual([
    "mirror/os/debian:12",
    "mirror/os/debian:13",
    "os/debian:12",
    "os/debian:13",
    "tools/imager:1",
  ]);
  const only = await world.run(
    `artifact import ${at("os.tar")} --into=m --only=os/debian:13 --json`,
  );
  expect(JSON.parse(only.out)).toEqual({
    artifacts: ["m/os/debian:13"],
    blobs: { sent: 2, bytes: 300_002, present: 0 },
    tags: { set: 1, moved: 0 },
    absent: [],
    signed_by: expect.stringMatching(/^sha256:/),
    verified: false,
    dry_run: false,
  });
});

test.each([
  ["os/debian:13", ["os/debian:13"]],
  ["os/debian:12 tools/imager:1", ["os/debian:12", "tools/imager:1"]],
  ["os/*:1[3-9]", ["os/debian:13"]],
  ["** os/debian:13", ["os/debian:12", "os/debian:13", "tools/imager:1"]],
])("artifact export %s takes %j", async (references, artifacts) => {
  await using world = await worldWithArtifacts();
  const output = join(world.directory, "out.tar");
  const { out } = await world.run(`artifact export ${references} --output=${output} --json`);
  expect(JSON.parse(out)).toEqual({
    ...{ file: output, artifacts, blobs: 2, absent: [], signed_by: null, resumed_at: 0 },
    size: Bun.file(output).size,
  });
});

test.each([
  ["export none/** --output=DIR/x.tar", 2, /^prov: Cannot export "none\/\*\*": no artifact fits/],
  ["export os/debian:14 --output=DIR/x.tar", 1, /Cannot export os\/debian:14: it is not there/],
  ["export docker.io/debian:13 --output=DIR/x.tar", 2, /without a registry host/],
  [
    "export os/debian:13 --output=/nonexistent/x.tar",
    2,
    /Cannot write \/nonexistent\/x\.tar: there is/,
  ],
  [
    "export os/debian:13 --output=DIR/x.tar --sign-key=DIR/key.pub",
    2,
    /Cannot use the key .*key\.pub: it is no private key/,
  ],
  ["export os/debian:13", 2, /output/],
  ["import DIR/none.tar", 2, /Cannot read .*none\.tar: there is no such file/],
  ["import DIR/key.pem", 1, /Cannot use the archive .*key\.pem: it is no tar archive/],
  ["import DIR/root.tar.zst --into=Os", 2, /Cannot import into "Os": it is no repository/],
  [
    "import DIR/root.tar.zst --verify-key=DIR/key.pem",
    2,
    /Cannot use the key .*key\.pem: it is a private key/,
  ],
])("artifact %s is refused with exit code %d", async (words, code, err) => {
  await using world = await worldWithArtifacts();
  const ran = await world.run(`artifact ${words.replaceAll("DIR", world.directory)}`);
  expect(ran).toMatchObject({ code, out: "" });
  expect(ran.err).toMatch(err);
});

test("a reader exports, and only an operator imports (exit code 6)", async () => {
  await using world = await worldWithArtifacts();
  const output = join(world.directory, "x.tar");
  const words = `artifact export os/debian:13 --output=${output}`;
  expect((await world.run(words, { as: "reader" })).code).toBe(0);
  expect((await world.run(`artifact import ${output} --into=m`, { as: "reader" })).code).toBe(6);
  expect((await world.run(words, { as: "stranger" })).code).toBe(6);
});

test("an export that is stopped says that it can go on, and goes on", async () => {
  await using world = await worldWithArtifacts();
  const output = join(world.directory, "x.tar");
  const words = `artifact export ** --output=${output}`;
  const env = { PROV_USER: "operator", PROV_PASSWORD: "operator" };
  const terminal = new FakeTerminal({ isInteractive: true, env });
  const redraw = terminal.redraw.bind(terminal);
  terminal.redraw = (line) => {
    redraw(line);
    if (line.startsWith("writing")) terminal.stop.abort(new DOMException("", "AbortError"));
  };
  const stopped = await world.runOn(terminal, words);
  expect(stopped.code).not.toBe(0);
  expect(stopped.err).toContain(`${output}.part stays: the same command goes on with it`);
  const { code, out } = await world.run(words);
  expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/ were there$/) });
});

test("on a terminal a bar shows how far it is", async () => {
  await using world = await worldWithArtifacts();
  const output = join(world.directory, "x.tar");
  const env = { PROV_USER: "operator", PROV_PASSWORD: "operator" };
  const terminal = new FakeTerminal({ isInteractive: true, env });
  await world.runOn(terminal, `artifact export os/debian:13 --output=${output}`);
  expect(terminal.drawn.at(-1)).toMatch(/^writing {2}\[#{30}\] 100% {2}[\d.]+ KiB of [\d.]+ KiB/);
  const other = new FakeTerminal({ isInteractive: true, env });
  await world.runOn(other, `artifact import ${output} --into=m`);
  expect(other.drawn.at(-1)).toMatch(/^sending {2}\[#{30}\] 100% {2}293.0 KiB of 293.0 KiB/);
});
