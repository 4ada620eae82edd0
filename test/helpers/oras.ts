// SPDX-License-Identifier: AGPL-3.0-or-later
import { chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

/** The Debian release whose `oras` is used; older releases have none, and its binary needs only libc. */
const RELEASE = "trixie";

/**
 * The path of an `oras` binary: Debian's, kept in `PROV_CACHE` (default `~/.cache/prov`). Where it is
 * missing it is taken out of the package with mmdebstrap, without installing anything.
 */
export async function orasPath(): Promise<string> {
  const installed = Bun.which("oras");
  if (installed !== null) return installed;
  const cache = process.env.PROV_CACHE ?? join(homedir(), ".cache/prov");
  const path = join(cache, `oras-${RELEASE}`);
  if (await Bun.file(path).exists()) return path;
  const work = await mkdtemp(join(tmpdir(), "prov-oras-"));
  try {
    await extract(work);
    await mkdir(cache, { recursive: true });
    // A copy first, so that nobody starts half a binary.
    const partial = `${path}.${process.pid}`;
    await Bun.write(partial, Bun.file(join(work, "root/usr/bin/oras")));
    await chmod(partial, 0o755);
    await rename(partial, path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return path;
}

async function extract(work: string): Promise<void> {
  const argv = ["mmdebstrap", "--quiet", "--variant=extract", "--include=oras", RELEASE];
  await expectProgram([...argv, join(work, "root")], work);
}

async function expectProgram(argv: readonly string[], cwd: string): Promise<void> {
  const child = Bun.spawn([...argv], { cwd, stdout: "ignore", stderr: "pipe" });
  const [error, exit] = await Promise.all([child.stderr.text(), child.exited]);
  if (exit !== 0) throw new Error(`${argv.join(" ")} exited with ${exit}: ${error}`);
}
