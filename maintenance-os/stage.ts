// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The build of the maintenance OS as stages. Each is kept under a name made of the hash of all that it was
 * made from, so that only what changed is made again, and an interrupted one leaves nothing that looks whole.
 */
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";

export interface Workshop {
  /** Folder of finished stages; they may be deleted at any time. */
  readonly cache: string;
  readonly log: (line: string) => void;
  /** Unix time, seconds: given to every file whose time would otherwise be the time of the build. */
  readonly epoch: number;
}

export interface Stage {
  readonly path: string;
  /** Stands for everything that the stage was made from. */
  readonly key: string;
}

/**
 * The result of an earlier build from the same `inputs`, or that of `build(path)`, which must leave a file or
 * a folder at `path`.
 */
export async function stage(
  name: string,
  inputs: readonly (string | Uint8Array)[],
  workshop: Workshop,
  build: (path: string) => Promise<void>,
): Promise<Stage> {
  const key = hash(inputs);
  const path = join(workshop.cache, `${name}-${key}`);
  if (await exists(path)) return { path, key };
  workshop.log(`maintenance-os: making ${name}`);
  const started = performance.now();
  await mkdir(workshop.cache, { recursive: true });
  const unfinished = `${path}.${process.pid}`;
  try {
    await build(unfinished);
    // Another build of the same may have been quicker; its result is as good.
    if (!(await exists(path))) await rename(unfinished, path);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  await forgetOldest(name, path, workshop.cache);
  const took = Math.round((performance.now() - started) / 1000);
  workshop.log(`maintenance-os: made ${name} in ${took} s`);
  return { path, key };
}

/** Results of one stage that are kept: this build's, and those of other branches and working trees. */
const KEPT = 3;

async function forgetOldest(name: string, newest: string, cache: string): Promise<void> {
  const own = new RegExp(`^${name}-[0-9a-f]{16}$`);
  const results = await Promise.all(
    (await readdir(cache))
      .filter((entry) => own.test(entry) && join(cache, entry) !== newest)
      .map(async (entry) => {
        const path = join(cache, entry);
        // The time of the rename above; what is inside has been given other times.
        return { path, made: (await stat(path)).ctimeMs };
      }),
  );
  results.sort((a, b) => b.made - a.made);
  for (const { path } of results.slice(KEPT - 1)) await rm(path, { recursive: true, force: true });
}

/** 16 hex digits; the parts are kept apart, so that moving a byte from one to the next changes it. */
export function hash(parts: readonly (string | Uint8Array)[]): string {
  const all = new Bun.CryptoHasher("sha256");
  for (const part of parts) all.update(new Bun.CryptoHasher("sha256").update(part).digest());
  return all.digest("hex").slice(0, 16);
}

/** Runs a program to its end. @throws {Error} with the end of its output when it fails. */
export async function run(argv: readonly string[], workshop: Workshop): Promise<void> {
  const child = Bun.spawn([...argv], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      LC_ALL: "C.UTF-8",
      SOURCE_DATE_EPOCH: String(workshop.epoch),
      ...proxySettings(),
    },
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) === 0) return;
  throw new Error(`Cannot run ${argv.join(" ")}: exit code ${child.exitCode}`, {
    cause: `${stdout}${stderr}`.slice(-4000),
  });
}

/** Mounts of what is run this way are gone with it, however it ends. */
export function withOwnMounts(argv: readonly string[]): string[] {
  return ["unshare", "--mount", "--propagation=private", ...argv];
}

function proxySettings(): Record<string, string> {
  const names = ["http_proxy", "https_proxy", "no_proxy"];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
