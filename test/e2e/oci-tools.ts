// SPDX-License-Identifier: AGPL-3.0-or-later
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expectProgram } from "./world.ts";

/**
 * The path of a real `oras`, taken from Debian's package of the suite that first had it. The program needs
 * nothing but libc, so it runs on older suites as well.
 */
export async function installOras(cache: string): Promise<string> {
  const path = join(cache, "oras");
  if (await Bun.file(path).exists()) return path;
  const root = join(cache, `oras-root-${process.pid}`);
  await mkdir(cache, { recursive: true });
  await expectProgram([
    "mmdebstrap",
    "--quiet",
    "--variant=extract",
    "--include=oras",
    "trixie",
    root,
  ]);
  await expectProgram(["mv", join(root, "usr/bin/oras"), path]);
  await expectProgram(["rm", "-rf", root]);
  await chmod(path, 0o755);
  return path;
}
