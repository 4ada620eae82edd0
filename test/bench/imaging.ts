// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * From the registry onto a file system: the agent's way (pull client, digest, unpack) beside
 * `curl | zstd -d | tar -x` of the same blob. `bun test/bench/imaging.ts`, after `bun build.ts binary`.
 */
import { mkdir, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { realSleep, silentLog } from "../../src/base/deps.ts";
import { minutes } from "../../src/base/units.ts";
import { unpack } from "../../src/exec/unpack.ts";
import { openBlob, resolveArtifact } from "../../src/registry/client/pull.ts";
import {
  BINARY,
  benchDirectory,
  median,
  peakRss,
  type Row,
  renderRows,
  serveBinary,
} from "../helpers/bench.ts";

const ROUNDS = 3;
const REPOSITORY = "os-images/bench";
/** As in src/exec: what is compared is the way, not what is restored. */
const TAR =
  "tar --extract --file=- --numeric-owner --same-owner --same-permissions --acls --selinux --xattrs '--xattrs-include=*'";

/** The agent's side, in a process of its own. Prints its peak RSS in bytes. */
async function agent(registry: string, into: string): Promise<void> {
  const deps = { fetch, sleep: realSleep, now: Date.now, log: silentLog };
  const source = {
    registry,
    repository: REPOSITORY,
    reference: "1",
    authorization: null,
    ca: null,
  };
  const { layer } = await resolveArtifact(source, deps);
  const stream = openBlob(source, layer, deps);
  await unpack({ stream, artifact: REPOSITORY, into, timeout: minutes(10) });
  console.log(await peakRss(process.pid));
}

async function benchImaging(): Promise<Row[]> {
  await using directory = await benchDirectory();
  const tarball = await findTarball(directory.path);
  await using served = await serveBinary(join(directory.path, "storage"));
  const push = [BINARY, "artifact", "push", tarball, `${REPOSITORY}:1`];
  await succeed(push, { ...process.env, ...served.env });
  const digest = `sha256:${(await succeed(["sha256sum", tarball])).split(" ")[0]}`;
  const blob = `${served.url}/v2/${REPOSITORY}/blobs/${digest}`;

  const own: number[] = [];
  const plain: number[] = [];
  const memory: number[] = [];
  const into = join(directory.path, "root");
  const pipe = `curl --silent --fail '${blob}' | zstd --decompress --stdout | ${TAR} --directory='${into}'`;
  const runPlain = async () => {
    plain.push((await timed(into, ["bash", "-o", "pipefail", "-c", pipe])).ms);
  };
  const runOwn = async () => {
    const argv = [process.execPath, import.meta.path, "agent", served.url, into];
    const { ms, out } = await timed(into, argv);
    own.push(ms);
    memory.push(Number(out));
  };
  // Neither always has the other's caches, nor the other's leftovers to write.
  for (let i = 0; i < ROUNDS; i++) {
    for (const run of i % 2 === 0 ? [runPlain, runOwn] : [runOwn, runPlain]) await run();
  }
  const ratio = median(plain) / median(own);
  const times = `${seconds(median(plain))} against ${seconds(median(own))}`;
  const most = Math.max(...memory);
  return [
    {
      metric: `imaging ${mib(Bun.file(tarball).size)}, curl + zstd + tar ÷ prov`,
      value: `${ratio.toFixed(2)} (${times})`,
      target: ">= 0.9",
      met: ratio >= 0.9,
    },
    {
      metric: "imaging, agent's peak RSS",
      value: mib(most),
      target: "< 200 MiB",
      met: most < 200 * 1024 ** 2,
    },
  ];
}

/** Runs a command that fills the empty directory `into`, which is gone again afterwards. */
async function timed(into: string, argv: readonly string[]): Promise<{ ms: number; out: string }> {
  await mkdir(into);
  // What the round before left to write must not be counted here.
  await succeed(["sync"]);
  const start = performance.now();
  const out = await succeed(argv);
  const ms = performance.now() - start;
  await rm(into, { recursive: true });
  return { ms, out };
}

async function succeed(argv: readonly string[], env = process.env): Promise<string> {
  const child = Bun.spawn([...argv], { env, stdout: "pipe", stderr: "inherit" });
  const [out, exit] = await Promise.all([child.stdout.text(), child.exited]);
  if (exit !== 0) throw new Error(`${argv.join(" ")} exited with ${exit}`);
  return out;
}

/** A real root file system if one was made already, else a tree of 300 MiB that compresses as programs do. */
async function findTarball(scratch: string): Promise<string> {
  const cache = process.env.PROV_CACHE ?? join(homedir(), ".cache/prov");
  const glob = new Bun.Glob("debian-trixie-root-*.tar.zst");
  const [found] = await Array.fromAsync(glob.scan({ cwd: cache, absolute: true })).catch(() => []);
  if (found !== undefined) return found;
  const tree = join(scratch, "tree");
  for (let i = 0; i < 3000; i++) {
    const noise = crypto.getRandomValues(new Uint8Array(40_000));
    const content = Buffer.concat([noise, Buffer.alloc(64_000, `file ${i} `)]);
    await Bun.write(join(tree, String(i % 100), String(i)), content);
  }
  const tarball = join(scratch, "root.tar.zst");
  await succeed(["tar", "--create", "--zstd", `--file=${tarball}`, `--directory=${tree}`, "."]);
  await rm(tree, { recursive: true });
  return tarball;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const mib = (bytes: number): string => `${Math.round(bytes / 1024 ** 2)} MiB`;

const [mode, ...rest] = process.argv.slice(2);
if (mode === "agent") await agent(rest[0] ?? "", rest[1] ?? "");
else console.log(renderRows(await benchImaging()));
