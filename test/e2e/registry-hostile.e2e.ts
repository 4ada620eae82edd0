// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * R49, R55: slow, stuck and vanishing clients against a registry in a process of its own, whose open
 * files and memory can be looked at.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../src/registry/digest.ts";
import { type RegistryProcess, startRegistryProcess } from "../helpers/registry-process.ts";
import { connectRaw, type Raw, until } from "../registry/raw.ts";
import { noise, pushBlob } from "../registry/served.ts";

/** Longer than Bun waits for a silent client unless it is told otherwise. */
const SILENCE_MS = 11_000;
const BLOB = noise(24_000_000);
const DIGEST = digestOf(BLOB);

let root: string;
let server: RegistryProcess;
const port = () => Number(new URL(server.url).port);
const ask: RegistryProcess["ask"] = (...request) => server.ask(...request);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "prov-hostile-"));
  server = await startRegistryProcess(root);
  await pushBlob({ ask }, "a", BLOB);
});

afterAll(async () => {
  await server.kill();
  await rm(root, { recursive: true, force: true });
});

async function openFiles(): Promise<number> {
  return (await readdir(`/proc/${server.pid}/fd`)).length;
}

/** Resident memory of the registry, in bytes. */
async function residentBytes(): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

async function expectAllBack(base: { files: number; bytes: number }): Promise<void> {
  await until(async () => (await openFiles()) <= base.files + 4);
  await until(async () => (await readdir(`${root}/uploads`)).length === 0);
  await until(async () => (await residentBytes()) <= base.bytes + 128 * 1024 * 1024);
}

const base = async () => ({ files: await openFiles(), bytes: await residentBytes() });

/** 60 KB at 10 KB/s, then silence, then the rest. */
async function uploadSlowly(isChunked: boolean): Promise<string> {
  const bytes = noise(100_000, isChunked ? 2 : 3);
  const raw = await connectRaw(port());
  const length = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: 100000";
  const line = `POST /v2/slow/blobs/uploads/?digest=${digestOf(bytes)} HTTP/1.1`;
  await raw.send(`${line}\r\nHost: x\r\n${length}\r\n\r\n`);
  const send = (part: Uint8Array) =>
    isChunked ? raw.send(`${part.byteLength.toString(16)}\r\n`, part, "\r\n") : raw.send(part);
  for (let at = 0; at < 60_000; at += 1000) {
    await send(bytes.subarray(at, at + 1000));
    await Bun.sleep(100);
  }
  await Bun.sleep(SILENCE_MS);
  await send(bytes.subarray(60_000));
  if (isChunked) await raw.send("0\r\n\r\n");
  await until(() => raw.received().includes("\r\n\r\n") || raw.isClosed());
  raw.end();
  return raw.received().slice(0, 12);
}

/** Reads a little, then nothing for a while, then the rest. @returns the digest of all. */
async function downloadSlowly(): Promise<string> {
  const socket = await beginDownload();
  const chunks: Uint8Array[] = [];
  for (let i = 0; i < 40; i++) {
    const chunk: Uint8Array | null = socket.read(1000);
    if (chunk !== null) chunks.push(chunk);
    await Bun.sleep(100);
  }
  await Bun.sleep(SILENCE_MS);
  for await (const chunk of socket) chunks.push(chunk);
  const all = Buffer.concat(chunks);
  return digestOf(all.subarray(all.indexOf("\r\n\r\n") + 4));
}

/** A download of the blob of which nobody reads anything yet. */
async function beginDownload(): Promise<Socket> {
  const socket = createConnection(port(), "127.0.0.1");
  socket.pause();
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.once("connect", resolve));
  const head = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  socket.write(`GET /v2/a/blobs/${DIGEST} ${head}`);
  return socket;
}

/** Two requests over one connection, with a long time between them. */
async function askTwice(): Promise<number> {
  const raw = await connectRaw(port());
  const answers = () => raw.received().split("HTTP/1.1 200").length - 1;
  for (const expected of [1, 2]) {
    await raw.send("GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
    await until(() => answers() === expected || raw.isClosed());
    if (expected === 1) await Bun.sleep(SILENCE_MS);
  }
  raw.end();
  return answers();
}

test("R55: a client of 10 KB/s that also falls silent is served to the end, both ways", async () => {
  const before = await base();
  const [plain, chunked, download, answers] = await Promise.all([
    uploadSlowly(false),
    uploadSlowly(true),
    downloadSlowly(),
    askTwice(),
  ]);
  expect(plain).toBe("HTTP/1.1 201");
  expect(chunked).toBe("HTTP/1.1 201");
  expect(download).toBe(DIGEST);
  expect(answers).toBe(2);
  await expectAllBack(before);
}, 90_000);

test("R55: a thousand connections that only wait, and everybody else is served", async () => {
  const before = await base();
  const stuck = [
    "GET /v2/ HTTP/1.1\r\nHo",
    `POST /v2/a/blobs/uploads/?digest=${DIGEST} HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\nx`,
    `PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{`,
  ];
  const raws: Raw[] = [];
  const downloads: Socket[] = [];
  for (let i = 0; i < 250; i++) {
    downloads.push(await beginDownload());
    for (const head of stuck) {
      const raw = await connectRaw(port());
      await raw.send(head);
      raws.push(raw);
    }
  }
  await until(async () => (await openFiles()) >= before.files + 1000);

  const times: number[] = [];
  for (let i = 0; i < 200; i++) {
    const start = performance.now();
    expect((await ask("GET", "")).status).toBe(200);
    times.push(performance.now() - start);
  }
  expect(times.sort((a, b) => a - b)[197]).toBeLessThan(500);
  const bytes = noise(8_000_000, 5);
  const start = performance.now();
  await pushBlob({ ask }, "b", bytes);
  expect(performance.now() - start).toBeLessThan(20_000);
  const pulled = await ask("GET", `b/blobs/${digestOf(bytes)}`);
  expect(digestOf(await pulled.bytes())).toBe(digestOf(bytes));

  for (const raw of raws) raw.terminate();
  for (const socket of downloads) socket.destroy();
  await expectAllBack(before);
}, 120_000);

test("R49: a thousand transfers that break off leave nothing", async () => {
  const before = await base();
  const body = BLOB.subarray(0, 400_000);
  for (let round = 0; round < 25; round++) {
    await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const raw = await connectRaw(port());
        const length = i % 2 ? "Content-Length: 500000" : "Transfer-Encoding: chunked";
        const line = `POST /v2/c/blobs/uploads/?digest=${digestOf(body)} HTTP/1.1`;
        await raw.send(`${line}\r\nHost: x\r\n${length}\r\n\r\n`);
        if (i % 2 === 0) await raw.send(`${body.byteLength.toString(16)}\r\n`);
        await raw.send(body);
        const download = await beginDownload();
        await Bun.sleep(i);
        raw.terminate();
        download.destroy();
      }),
    );
  }
  await expectAllBack(before);
  expect((await ask("HEAD", `c/blobs/${digestOf(body)}`)).status).toBe(404);
}, 120_000);
