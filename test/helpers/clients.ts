// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The registry clients that people have, as Debian packages them: oras, skopeo, podman, docker and containerd.
 * Older releases lack the one and have the others in versions of years ago, so all run from a root of their own.
 */
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

const RELEASE = "trixie";
const PACKAGES = ["ca-certificates", "docker-cli", "docker.io", "oras", "podman", "skopeo"];

const OWN_MOUNTS = ["unshare", "--mount", "--propagation=private"];

/** The root's directory, kept in `PROV_CACHE` (default `~/.cache/prov`) and made there with mmdebstrap. */
async function clientsRoot(): Promise<string> {
  const cache = process.env.PROV_CACHE ?? join(homedir(), ".cache/prov");
  const root = join(cache, `clients-${RELEASE}-${Bun.hash.crc32(PACKAGES.join()).toString(16)}`);
  if (existsSync(root)) return root;
  await mkdir(cache, { recursive: true });
  // Under another name first, so that nobody finds half a system.
  const partial = `${root}.${process.pid}`;
  try {
    const include = `--include=${PACKAGES.join(",")}`;
    // Its mounts go with it, also when it is killed: what is left must be safe to remove.
    await expectClient(OWN_MOUNTS, [
      "mmdebstrap",
      "--quiet",
      "--variant=apt",
      include,
      RELEASE,
      partial,
    ]);
    await rename(partial, root);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    if (!existsSync(root)) throw error;
  }
  return root;
}

/** The path of `oras`: its binary needs nothing but libc, and runs as it is. */
export async function orasPath(): Promise<string> {
  return Bun.which("oras") ?? join(await clientsRoot(), "usr/bin/oras");
}

export interface ClientRun {
  /** Where it works: its home, and where relative paths begin. */
  readonly directory: string;
  readonly stdin?: string;
}

/**
 * A program of the root, run in it with {@link ClientRun.directory} at the same path as outside.
 * podman wants the root to be a mount point, and proc, sys and dev in it.
 */
export async function runClient(argv: readonly string[], run: ClientRun): Promise<string> {
  const script = `set -e
root=$1 directory=$2; shift 2
mount --rbind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs run run
mount -t tmpfs tmp tmp
mkdir -p ".$directory"
mount --bind "$directory" ".$directory"
exec chroot . env --chdir="$directory" "$@"`;
  const around = [...OWN_MOUNTS, "bash", "-c", script, "bash"];
  return await expectClient([...around, await clientsRoot(), run.directory], argv, run);
}

/**
 * A shell script with docker's daemon, and the containerd below it, at `$CONTAINERD`; both end with it. The
 * daemon has no network: it pushes and pulls, and runs nothing.
 */
export async function runDocker(script: string, run: ClientRun): Promise<string> {
  const daemon = `set -e
dockerd --storage-driver=vfs --bridge=none --iptables=false --ip6tables=false \
  --data-root="$HOME/docker" --exec-root=/run/docker > "$HOME/dockerd.log" 2>&1 &
daemon=$!
trap 'kill $daemon; wait $daemon || true' EXIT
until docker version > /dev/null 2>&1; do
  kill -0 $daemon 2> /dev/null || { cat "$HOME/dockerd.log" >&2; exit 1; }
  sleep 0.2
done
CONTAINERD=/run/docker/containerd/containerd.sock
`;
  return await runClient(["bash", "-c", daemon + script], run);
}

/**
 * @param around the program that runs it, with its arguments; not worth showing.
 * @throws {Error} with the program's output when it does not exit with 0.
 */
async function expectClient(
  around: readonly string[],
  argv: readonly string[],
  run?: ClientRun,
): Promise<string> {
  const home = run?.directory ?? "/root";
  const child = Bun.spawn([...around, ...argv], {
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: home, XDG_RUNTIME_DIR: home },
    stdin: run?.stdin === undefined ? "ignore" : new Blob([run.stdin]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, exit] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (exit === 0) return out;
  throw new Error(`${argv.join(" ")} exited with ${exit}: ${out}${err}`);
}
