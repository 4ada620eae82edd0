// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * R48, R49: `prov artifact`, as it is installed, against a registry that breaks off, and together with the
 * clients that others use: oras and skopeo.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../src/registry/digest.ts";
import { orasPath } from "../helpers/clients.ts";
import { cuttingProxy } from "../registry/client/cutting-proxy.ts";
import { everything, noise, type Served, serveRegistry } from "../registry/served.ts";
import { BINARY } from "./site.ts";

const MIB = 1024 * 1024;
/** What a transfer of any size may take, the runtime's own 40 MB included. */
const PEAK_RSS_BYTES = 128 * MIB;

let work: string;
let oras: string;
let served: Served;
/** Requests as they came in: `PATCH 0-67108863`. */
const asked: string[] = [];
/** Called with how many `PATCH` there were so far. */
let onPatch: (count: number) => void = () => {};

beforeAll(async () => {
  oras = await orasPath();
  work = await mkdtemp(join(tmpdir(), "prov-e2e-client-"));
  served = await serveRegistry({
    accessOf(request) {
      asked.push(`${request.method} ${request.headers.get("content-range") ?? ""}`.trim());
      const patches = asked.filter((line) => line.startsWith("PATCH")).length;
      if (request.method === "PATCH") onPatch(patches);
      return everything;
    },
  });
}, 120_000);

afterEach(() => {
  onPatch = () => {};
});

afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await rm(work, { recursive: true, force: true });
});

const env = (url: string) => ({
  PATH: "/usr/bin:/bin:/usr/sbin",
  HOME: work,
  XDG_RUNTIME_DIR: work,
  PROV_URL: url,
});

function start(argv: readonly string[], url = served.url) {
  return Bun.spawn([...argv], {
    cwd: work,
    env: env(url),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

interface Ran {
  readonly out: string;
  /** Peak, in bytes. */
  readonly rss: number;
}

async function run(argv: readonly string[], url?: string): Promise<Ran> {
  const child = start(argv, url);
  const peak = watchPeak(child.pid);
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const exit = await child.exited;
  const rss = peak.stop();
  if (exit !== 0) throw new Error(`${argv.join(" ")} exited with ${exit}: ${err}${out}`);
  return { out, rss };
}

/** Not ru_maxrss: that of a child begins with what its parent has. */
function watchPeak(pid: number) {
  let peak = 0;
  const timer = setInterval(() => {
    const status = existsSync(`/proc/${pid}/status`) && readFileSync(`/proc/${pid}/status`, "utf8");
    const kib = /^VmHWM:\s+(\d+) kB$/m.exec(status || "")?.[1];
    peak = Math.max(peak, Number(kib ?? 0) * 1024);
  }, 10);
  return {
    stop() {
      clearInterval(timer);
      return peak;
    },
  };
}

const prov = (words: string, url?: string) => run([BINARY, "artifact", ...words.split(" ")], url);
const at = (reference: string) => `127.0.0.1:${served.port}/${reference}`;

async function digestOfFile(path: string): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of Bun.file(join(work, path)).stream()) hasher.update(chunk);
  return `sha256:${hasher.digest("hex")}`;
}

/** A push has asked whether anybody is there, and where its upload was, and begun at least so far in. */
function expectGoneOn(start: number): void {
  expect(asked.slice(0, 3)).toEqual(["GET", "HEAD", "GET"]);
  expect(Number(asked[3]?.split(/[ -]/)[1])).toBeGreaterThanOrEqual(start);
}

/** A tar with `size` bytes of noise and as many of words. */
async function makeTar(name: string, size: number): Promise<void> {
  await Bun.write(join(work, `${name}.noise`), noise(size));
  await Bun.write(join(work, `${name}.words`), "all work and no play\n".repeat(size / 21));
  await run(["tar", "--create", `--file=${name}.tar`, `${name}.noise`, `${name}.words`]);
}

describe("with other clients", () => {
  test("R48: oras and skopeo take what prov has pushed", async () => {
    await makeTar("mutual", 4 * MIB);
    await run(["zstd", "--quiet", "mutual.tar"]);
    await prov("push mutual.tar.zst os/mutual:1");
    await run([oras, "pull", "--plain-http", "-o", "from-oras", at("os/mutual:1")]);
    expect(await readdir(join(work, "from-oras"))).toEqual(["mutual.tar.zst"]);
    expect(await digestOfFile("from-oras/mutual.tar.zst")).toBe(
      await digestOfFile("mutual.tar.zst"),
    );
    const tls = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    await run([
      ...["skopeo", "--insecure-policy", "copy", ...tls],
      ...[`docker://${at("os/mutual:1")}`, `docker://${at("mirror/mutual:1")}`],
    ]);
    await prov("pull mirror/mutual:1 back.tar.zst");
    expect(await digestOfFile("back.tar.zst")).toBe(await digestOfFile("mutual.tar.zst"));
  }, 60_000);

  test("R48: prov takes what oras has pushed: files, directories, referrers", async () => {
    await mkdir(join(work, "site/etc"), { recursive: true });
    await Bun.write(join(work, "site/etc/motd"), "hello\n");
    await Bun.write(join(work, "firmware.bin"), noise(100_000, 2));
    await Bun.write(join(work, "sbom.json"), "{}");
    await run([
      ...[oras, "push", "--plain-http", "--artifact-type", "x/bundle"],
      ...["--annotation", "org.opencontainers.image.vendor=ACME"],
      ...[at("os/bundle:1"), "firmware.bin", "site"],
    ]);
    await run([
      ...[oras, "attach", "--plain-http", "--artifact-type", "x/sbom"],
      ...[at("os/bundle:1"), "sbom.json"],
    ]);
    await prov("pull os/bundle:1 bundle --all");
    expect((await readdir(join(work, "bundle"))).toSorted()).toEqual(["firmware.bin", "site"]);
    expect(await Bun.file(join(work, "bundle/site/etc/motd")).text()).toBe("hello\n");
    expect(await digestOfFile("bundle/firmware.bin")).toBe(digestOf(noise(100_000, 2)));

    const shown = JSON.parse((await prov("show os/bundle:1 --json")).out);
    expect(shown).toMatchObject({
      artifact_type: "x/bundle",
      annotations: { "org.opencontainers.image.vendor": "ACME" },
      layers: [{ title: "firmware.bin", size: 100_000 }, { title: "site" }],
      tags: ["1"],
      referrers: [{ artifact_type: "x/sbom" }],
    });
    expect(Date.parse(shown.created)).toBeGreaterThan(0);
    const { out } = await prov("show os/bundle:1");
    expect(out).toMatch(/^firmware\.bin +application\/vnd\.oci\.image\.layer\.v1\.tar +97\.7 KiB/m);
    expect(out).toMatch(/^org\.opencontainers\.image\.vendor +ACME$/m);
    expect(out).toMatch(/^sha256:[0-9a-f]{64} +x\/sbom$/m);
  }, 60_000);
});

test("R49: --zstd makes what zstd itself unpacks, out of plain tars, gzip and xz", async () => {
  await makeTar("root", 4 * MIB);
  await run(["gzip", "--keep", "--fast", "root.tar"]);
  await run(["xz", "--keep", "-0", "root.tar"]);
  const wanted = await digestOfFile("root.tar");
  const digests = new Set<string>();
  for (const name of ["root.tar", "root.tar.gz", "root.tar.xz"]) {
    const { out } = await prov(`push ${name} os/zstd:1 --zstd --json`);
    const { layer, artifact_type: type } = JSON.parse(out);
    expect(type).toBe("application/vnd.prov.rootfs.v1");
    digests.add(layer.digest);
    await prov("pull os/zstd:1 got.tar.zst");
    await run(["zstd", "--decompress", "--force", "--quiet", "got.tar.zst"]);
    expect(await digestOfFile("got.tar")).toBe(wanted);
    await rm(join(work, "got.tar.zst"));
  }
  // The same content and level, the same bytes.
  expect(digests.size).toBe(1);
}, 60_000);

describe("R49: a gibibyte", () => {
  test("goes up, compressed or not, and comes down, in little memory", async () => {
    await Bun.write(join(work, "disk.img"), noise(MIB, 4));
    await truncate(join(work, "disk.img"), 1024 * MIB);
    const pushed = await prov("push disk.img os/disk:1");
    expect(pushed.rss).toBeGreaterThan(20 * MIB);
    expect(pushed.rss).toBeLessThan(PEAK_RSS_BYTES);
    const pulled = await prov("pull os/disk:1 copy.img");
    expect(pulled.rss).toBeLessThan(PEAK_RSS_BYTES);
    expect(await digestOfFile("copy.img")).toBe(await digestOfFile("disk.img"));
    await rm(join(work, "copy.img"));
    await run(["tar", "--create", "--file=disk.tar", "disk.img"]);
    const compressed = await prov("push disk.tar os/disk:2 --zstd");
    expect(compressed.rss).toBeLessThan(PEAK_RSS_BYTES);
    console.log(
      `peak RSS: push ${pushed.rss / MIB}, pull ${pulled.rss / MIB}, --zstd ${compressed.rss / MIB} MiB`,
    );
    await rm(join(work, "disk.tar"));
  }, 120_000);
});

describe("R49: what was stopped goes on", () => {
  test("through connections that break", async () => {
    const content = noise(60 * MIB, 3);
    await Bun.write(join(work, "cut.bin"), content);
    await using proxy = await cuttingProxy(served.port, () => ({ up: 20 * MIB, down: 25 * MIB }));
    await prov("push cut.bin os/cut:1", proxy.url);
    await prov("pull os/cut:1 uncut.bin", proxy.url);
    expect(proxy.connections).toBeGreaterThan(6);
    expect(await digestOfFile("uncut.bin")).toBe(digestOf(content));
  }, 60_000);

  test("after kill -9", async () => {
    const content = noise(200 * MIB, 6);
    await Bun.write(join(work, "kill.bin"), content);
    asked.length = 0;
    const first = start([BINARY, "artifact", "push", "kill.bin", "os/kill:1"]);
    onPatch = (count) => void (count === 3 && first.kill("SIGKILL"));
    await first.exited;
    expect(first.signalCode).toBe("SIGKILL");
    const uploads = join(work, ".local/state/prov/uploads");
    expect(await readdir(uploads)).toHaveLength(1);
    asked.length = 0;
    await prov("push kill.bin os/kill:1");
    expectGoneOn(128 * MIB);
    expect(await readdir(uploads)).toEqual([]);
    await prov("pull os/kill:1 killed.bin");
    expect(await digestOfFile("killed.bin")).toBe(digestOf(content));
  }, 120_000);

  test("after SIGINT, up and down", async () => {
    const content = noise(200 * MIB, 8);
    await Bun.write(join(work, "stop.bin"), content);
    asked.length = 0;
    const push = start([BINARY, "artifact", "push", "stop.bin", "os/stop:1"]);
    onPatch = (count) => void (count === 3 && push.kill("SIGINT"));
    expect(await push.exited).toBe(1);
    expect(await push.stderr.text()).toContain("the same command goes on with it");
    asked.length = 0;
    await prov("push stop.bin os/stop:1");
    expectGoneOn(128 * MIB);

    // After each break it waits half a second, which is when it is stopped.
    await using proxy = await cuttingProxy(served.port, () => ({ down: 64 * MIB }));
    const pull = start([BINARY, "artifact", "pull", "os/stop:1", "stopped.bin"], proxy.url);
    const partial = join(work, "stopped.bin.part");
    while (!existsSync(partial) || Bun.file(partial).size < 32 * MIB) await Bun.sleep(5);
    pull.kill("SIGINT");
    expect(await pull.exited).toBe(1);
    expect(await pull.stderr.text()).toContain("the same command goes on with it");
    expect(existsSync(join(work, "stopped.bin"))).toBe(false);
    await prov("pull os/stop:1 stopped.bin");
    expect(await digestOfFile("stopped.bin")).toBe(digestOf(content));
  }, 120_000);
});
