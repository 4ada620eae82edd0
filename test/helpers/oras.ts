// SPDX-License-Identifier: AGPL-3.0-or-later
import { chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

/** The Debian release whose `oras` is used; older releases have none, and its binary needs only libc. */
const RELEASE = "trixie";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/**
 * The path of an `oras` binary: Debian's, kept in `PROV_CACHE` (default `~/.cache/prov`). Where it is
 * missing it is taken out of the package with apt, beside the system's own package lists and without
 * installing anything.
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
  await mkdir(join(work, "state/lists/partial"), { recursive: true });
  await mkdir(join(work, "cache/archives/partial"), { recursive: true });
  await Bun.write(
    join(work, "sources.list"),
    `deb [signed-by=${KEYRING}] http://deb.debian.org/debian ${RELEASE} main\n`,
  );
  const options = [
    `Dir::Etc::sourcelist=${work}/sources.list`,
    "Dir::Etc::sourceparts=/dev/null",
    `Dir::State=${work}/state`,
    `Dir::Cache=${work}/cache`,
    // As root, apt would change to a user who may not write here.
    "APT::Sandbox::User=root",
  ].flatMap((option) => ["-o", option]);
  await expectProgram(["apt-get", ...options, "-qq", "update"], work);
  await expectProgram(["apt-get", ...options, "-qq", "download", "oras"], work);
  const [archive = "oras.deb"] = new Bun.Glob("oras_*.deb").scanSync(work);
  await expectProgram(["dpkg-deb", "--extract", archive, "root"], work);
}

async function expectProgram(argv: readonly string[], cwd: string): Promise<void> {
  const child = Bun.spawn([...argv], { cwd, stdout: "ignore", stderr: "pipe" });
  const [error, exit] = await Promise.all([child.stderr.text(), child.exited]);
  if (exit !== 0) throw new Error(`${argv.join(" ")} exited with ${exit}: ${error}`);
}
