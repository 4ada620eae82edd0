// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProvError } from "../../src/base/errors.ts";
import { seconds } from "../../src/base/units.ts";
import { unpack } from "../../src/exec/unpack.ts";

async function sh(script: string, cwd: string): Promise<string> {
  const child = Bun.spawn(["bash", "-euo", "pipefail", "-c", script], { cwd, stderr: "inherit" });
  const text = await child.stdout.text();
  expect(await child.exited).toBe(0);
  return text;
}

/** A source tree with everything that is easily lost, and a place to unpack to. */
async function scratch() {
  const root = await mkdtemp(join(tmpdir(), "prov-unpack-"));
  await mkdir(join(root, "out"));
  await sh(
    `mkdir -p in/etc && echo hello > in/etc/os-release && chown 1234:4321 in/etc/os-release
     chmod 4755 in/etc/os-release && ln in/etc/os-release in/hard && ln -s etc/os-release in/soft
     truncate -s 8M in/sparse && echo end >> in/sparse
     head -c 200000 /dev/urandom > in/noise
     touch in/attr && setfattr -n user.note -v kept in/attr
     touch -d '2020-01-02 03:04:05 UTC' in/etc/os-release
     tar --create --file=plain.tar --directory=in --xattrs --sparse .
     zstd -q -3 plain.tar -o root.tar.zst && gzip -k plain.tar && xz -k -0 plain.tar`,
    root,
  );
  return { root, [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) };
}

const LISTING =
  "cd out; stat -c '%n %u:%g %a %h %Y' etc/os-release; readlink soft; stat -c '%n %s' sparse; getfattr --absolute-names -n user.note --only-values attr";

const options = (root: string, stream: ReadableStream<Uint8Array>) => ({
  stream,
  artifact: "os-images/test:1",
  into: join(root, "out"),
  timeout: seconds(30),
});

describe("unpack()", () => {
  test.each(["plain.tar", "root.tar.zst", "plain.tar.gz", "plain.tar.xz"])(
    "restores owners, modes, times, hard links, attributes and holes from %s (R39)",
    async (name) => {
      await using dir = await scratch();
      let bytes = 0;
      await unpack({
        ...options(dir.root, Bun.file(join(dir.root, name)).stream()),
        onBytes: (done) => {
          bytes = done;
        },
      });
      expect(await sh(LISTING, dir.root)).toBe(
        "etc/os-release 1234:4321 4755 2 1577934245\netc/os-release\nsparse 8388612\nkept",
      );
      const sparse = await stat(join(dir.root, "out/sparse"));
      expect(sparse.blocks * 512).toBeLessThan(1_000_000);
      expect(bytes).toBe(Bun.file(join(dir.root, name)).size);
    },
  );

  test.each([
    { why: "random bytes", make: "head -c 100000 /dev/urandom > bad" },
    { why: "nothing at all", make: ": > bad" },
    { why: "a web page", make: "echo '<html>not found</html>' > bad" },
    { why: "a truncated tarball", make: "head -c 20000 plain.tar > bad" },
    { why: "a truncated zstd stream", make: "head -c 100000 root.tar.zst > bad" },
    {
      why: "a damaged gzip stream",
      make: "head -c 100000 plain.tar.gz > bad; head -c 200000 /dev/zero >> bad",
    },
  ])("says that $why is no tarball", async ({ make }) => {
    await using dir = await scratch();
    await sh(make, dir.root);
    await expect(
      unpack(options(dir.root, Bun.file(join(dir.root, "bad")).stream())),
    ).rejects.toMatchObject({
      code: "ARTIFACT_INVALID",
      message: "Cannot unpack os-images/test:1: it is not a tarball, or a damaged one",
    });
  });

  test("a stream that ends with an error fails with that error, not with tar's", async () => {
    await using dir = await scratch();
    const content = await Bun.file(join(dir.root, "root.tar.zst")).bytes();
    const wrong = new ProvError("Cannot use os-images/test:1: wrong digest", {
      code: "ARTIFACT_INVALID",
    });
    let sent = false;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent) controller.error(wrong);
        else controller.enqueue(content);
        sent = true;
      },
    });
    await expect(unpack(options(dir.root, stream))).rejects.toBe(wrong);
  });

  test("ends tar and itself when it is aborted", async () => {
    await using dir = await scratch();
    const abort = new AbortController();
    const endless = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await Bun.sleep(1);
        controller.enqueue(new Uint8Array(1024));
        abort.abort(new Error("stop"));
      },
    });
    await expect(unpack({ ...options(dir.root, endless), signal: abort.signal })).rejects.toThrow(
      "stop",
    );
  });

  test("reads the stream to its end, where the digest is checked, though tar stops before (R39)", async () => {
    await using dir = await scratch();
    const content = await Bun.file(join(dir.root, "plain.tar")).bytes();
    const wrong = new ProvError("Cannot use os-images/test:1: wrong digest", {
      code: "ARTIFACT_INVALID",
    });
    // Far more behind the archive's end mark than a pipe holds: tar is gone before the error comes.
    const parts = [content, ...Array.from({ length: 20 }, () => new Uint8Array(262_144))];
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        const part = parts.shift();
        if (part === undefined) controller.error(wrong);
        else controller.enqueue(part);
      },
    });
    await expect(unpack(options(dir.root, stream))).rejects.toBe(wrong);
  });

  test("is killed when its time is over", async () => {
    await using dir = await scratch();
    const silent = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new Uint8Array(1024));
      },
    });
    await expect(
      unpack({ ...options(dir.root, silent), timeout: seconds(0.1) }),
    ).rejects.toMatchObject({ code: "COMMAND_TIMED_OUT" });
  });

  test("takes no more from the stream than it can unpack (R39)", async () => {
    await using dir = await scratch();
    // One member that is never complete: tar writes as it reads, and nobody reads ahead of it.
    await sh(
      "truncate -s 1G big; tar --create --format=ustar --file=- big | dd of=header bs=512 count=1 status=none || true",
      dir.root,
    );
    const header = await Bun.file(join(dir.root, "header")).bytes();
    const abort = new AbortController();
    let given = 0;
    let taken = 0;
    const stream = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          const chunk = given === 0 ? header : new Uint8Array(65_536);
          given += chunk.length;
          if (given > 16 * 1024 * 1024) abort.abort(new Error("enough"));
          controller.enqueue(chunk);
        },
      },
      { highWaterMark: 0 },
    );
    const running = unpack({
      ...options(dir.root, stream),
      signal: abort.signal,
      onBytes: (done) => {
        taken = done;
      },
    });
    await expect(running).rejects.toThrow("enough");
    expect(given - taken).toBeLessThanOrEqual(2 * 65_536);
  });
});
