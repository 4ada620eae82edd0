// SPDX-License-Identifier: AGPL-3.0-or-later
/** An image that is larger than its disk: a small file system of its own, which only root can mount. */
import { expect, test } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seconds } from "../../src/base/units.ts";
import { unpack } from "../../src/exec/unpack.ts";
import { expectProgram } from "./world.ts";

test("an image that does not fit ends at once, with what to do about it (R39)", async () => {
  const work = await mkdtemp(join(tmpdir(), "prov-full-"));
  const [tree, small] = [join(work, "tree"), join(work, "small")];
  await mkdir(small);
  await expectProgram(["mount", "-t", "tmpfs", "-o", "size=4m", "small", small]);
  try {
    const noise = crypto.getRandomValues(new Uint8Array(65_536));
    for (let i = 0; i < 160; i++) await Bun.write(join(tree, `file-${i}`), noise);
    const tarball = join(work, "root.tar.zst");
    await expectProgram([
      "tar",
      "--create",
      "--zstd",
      `--file=${tarball}`,
      `--directory=${tree}`,
      ".",
    ]);
    let taken = 0;
    const unpacking = unpack({
      stream: Bun.file(tarball).stream(),
      artifact: "os-images/large:1",
      into: small,
      timeout: seconds(60),
      onBytes: (done) => {
        taken = done;
      },
    });
    const error: unknown = await unpacking.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "DISK_FULL",
      message: "Cannot unpack os-images/large:1: the file system is full",
      hint: expect.stringContaining("partition_layout"),
    });
    expect(taken).toBeGreaterThan(0);
  } finally {
    await expectProgram(["umount", small]);
    await rm(work, { recursive: true });
  }
}, 120_000);
