// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A blob of N GiB (first argument, default 2) up and down: how fast beside the plain tools that do the
 * same work, and how much memory the registry and the pull client take for it.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { silentLog } from "../../src/base/deps.ts";
import { openBlob } from "../../src/registry/client/pull.ts";
import { parseDigest } from "../../src/registry/digest.ts";
import { createRegistry, REGISTRY_SERVER_OPTIONS } from "../../src/registry/registry.ts";

async function serve(root: string): Promise<void> {
  const registry = await createRegistry({ root, log: silentLog, now: Date.now });
  const access = { identity: "bench", may: () => true };
  const server = Bun.serve({
    ...REGISTRY_SERVER_OPTIONS,
    port: 0,
    fetch: (request) => registry.handle(request, access),
  });
  console.log(server.port);
}

/** Pulls the blob, throws it away, and prints its own peak RSS in bytes. */
async function pull(registry: string, digestText: string, size: number): Promise<void> {
  const digest = parseDigest(digestText);
  if (digest === undefined) throw new TypeError(`not a digest: ${digestText}`);
  const source = { registry, repository: "a", reference: digest, authorization: null, ca: null };
  const deps = { fetch, sleep: (ms: number) => Bun.sleep(ms), now: Date.now, log: silentLog };
  let received = 0;
  for await (const chunk of openBlob(source, { digest, size }, deps)) received += chunk.byteLength;
  if (received !== size) throw new RangeError(`${received} of ${size} bytes came`);
  console.log(await peakRss(process.pid));
}

async function bench(size: number): Promise<void> {
  // Beside the sources: a temporary directory is often in memory.
  await mkdir(join(import.meta.dir, "../../.cache"), { recursive: true });
  const work = await mkdtemp(join(import.meta.dir, "../../.cache/bench-"));
  const script = ["serve", join(work, "registry")];
  const server = Bun.spawn([process.execPath, import.meta.path, ...script], { stdout: "pipe" });
  try {
    const blob = join(work, "blob");
    await sh(`truncate --size=${size} ${blob}`);
    const url = `http://127.0.0.1:${await firstLine(server.stdout)}`;
    const dd = await timed(`dd if=${blob} of=${work}/copy bs=1M conv=fsync status=none`);
    const hash = await timed(`openssl dgst -sha256 ${blob}`);
    const digest = `sha256:${hash.out.trim().split(" ").at(-1)}`;
    await rm(join(work, "copy"));

    const start = await fetch(`${url}/v2/a/blobs/uploads/`, { method: "POST" });
    const location = `${url}${start.headers.get("location")}?digest=${digest}`;
    const up = await timed(`curl --silent --fail --upload-file ${blob} "${location}"`);
    row("upload", size, up.seconds);
    row("  dd conv=fsync", size, dd.seconds, `dd ÷ upload = ${ratio(dd.seconds, up.seconds)}`);
    row(
      "  openssl dgst -sha256",
      size,
      hash.seconds,
      `openssl ÷ upload = ${ratio(hash.seconds, up.seconds)}`,
    );
    console.log(`  registry's peak RSS: ${mib(await peakRss(server.pid))} MiB`);

    const path = `${url}/v2/a/blobs/${digest}`;
    const plain = await timed(`curl --silent --fail "${path}" | openssl dgst -sha256`);
    const own = await timed(
      `${process.execPath} ${import.meta.path} pull ${url} ${digest} ${size}`,
    );
    row("pull, verified", size, own.seconds);
    row(
      "  curl | openssl dgst",
      size,
      plain.seconds,
      `curl ÷ pull = ${ratio(plain.seconds, own.seconds)}`,
    );
    console.log(`  client's peak RSS: ${mib(Number(own.out))} MiB`);
    console.log(`  registry's peak RSS: ${mib(await peakRss(server.pid))} MiB`);
  } finally {
    server.kill();
    await server.exited;
    await rm(work, { recursive: true, force: true });
  }
}

async function sh(command: string): Promise<string> {
  const child = Bun.spawn(["bash", "-o", "pipefail", "-c", command], { stdout: "pipe" });
  const [out, exit] = await Promise.all([child.stdout.text(), child.exited]);
  if (exit !== 0) throw new Error(`${command} exited with ${exit}`);
  return out;
}

async function timed(command: string): Promise<{ seconds: number; out: string }> {
  const start = performance.now();
  const out = await sh(command);
  return { seconds: (performance.now() - start) / 1000, out };
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stream) {
    text += new TextDecoder().decode(chunk);
    if (text.includes("\n")) break;
  }
  return text.trim();
}

/** Bytes. */
async function peakRss(pid: number): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

const ratio = (a: number, b: number): string => (a / b).toFixed(2);
const mib = (bytes: number): number => Math.round(bytes / 1024 ** 2);

function row(what: string, size: number, seconds: number, note = ""): void {
  const speed = `${Math.round(mib(size) / seconds)} MiB/s`;
  console.log(
    `${what.padEnd(24)} ${seconds.toFixed(1).padStart(6)} s ${speed.padStart(12)}  ${note}`,
  );
}

const [mode = "2", ...rest] = process.argv.slice(2);
if (mode === "serve") await serve(rest[0] ?? "");
else if (mode === "pull") await pull(rest[0] ?? "", rest[1] ?? "", Number(rest[2]));
else await bench(Number(mode) * 1024 ** 3);
