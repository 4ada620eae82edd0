// SPDX-License-Identifier: AGPL-3.0-or-later
/** R48, R49: clients that are old, broken or malicious, over real sockets. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { digestOf } from "../../src/registry/digest.ts";
import { MANIFEST_MAX_BYTES } from "../../src/registry/manifest.ts";
import { connectRaw, until } from "./raw.ts";
import { exchange, noise, pushBlob, type Served, serveRegistry, text } from "./served.ts";

let served: Served;
beforeAll(async () => {
  served = await serveRegistry();
});
afterAll(async () => await served[Symbol.asyncDispose]());

const INDEX = '{"schemaVersion":2,"manifests":[]}';
const chunk = (body: string) => `${body.length.toString(16)}\r\n${body}\r\n`;

/** Statuses of all responses in what came over a connection. */
const statusesOf = (received: string) =>
  [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));

async function exists(path: string): Promise<boolean> {
  return (await served.ask("HEAD", path)).status === 200;
}

describe("HTTP/1.0 without a Host, as old firmware speaks it", () => {
  test("pulls", async () => {
    const digest = await pushBlob(served, "old", text("hello"));
    const answer = await exchange(served.port, `GET /v2/old/blobs/${digest} HTTP/1.0\r\n\r\n`);
    expect(answer).toStartWith("HTTP/1.1 200");
    expect(answer).toEndWith("hello");
  });

  test("pushes", async () => {
    const line = `POST /v2/old/blobs/uploads/?digest=${digestOf("firmware")} HTTP/1.0`;
    const answer = await exchange(served.port, `${line}\r\nContent-Length: 8\r\n\r\nfirmware`);
    expect(statusesOf(answer)).toEqual([201]);
    expect(await exists(`old/blobs/${digestOf("firmware")}`)).toBe(true);
  });
});

describe("a body whose framing is wrong is nobody's content", () => {
  test.each([
    ["Content-Length and Transfer-Encoding", "Content-Length: 34\r\nTransfer-Encoding: chunked"],
    ["two lengths", "Content-Length: 34\r\nContent-Length: 35"],
    ["a negative length", "Content-Length: -1"],
    ["a length that is no number", "Content-Length: 34x"],
    ["a coding that is not chunked", "Transfer-Encoding: gzip, chunked"],
  ])("%s: 400, and the connection is closed", async (_, headers) => {
    const head = `PUT /v2/framing/manifests/v1 HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n`;
    expect(statusesOf(await exchange(served.port, `${head}${chunk(INDEX)}0\r\n\r\n`))).toEqual([
      400,
    ]);
    expect(await exists("framing/manifests/v1")).toBe(false);
  });

  test("a chunk that is none: 400, and nothing of it is kept", async () => {
    const head =
      "PUT /v2/framing/manifests/v2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    expect(statusesOf(await exchange(served.port, `${head}${chunk(INDEX)}zz\r\n`))).toEqual([400]);
    expect(await exists("framing/manifests/v2")).toBe(false);
  });

  test("what comes behind a body is none of it", async () => {
    const line = `POST /v2/framing/blobs/uploads/?digest=${digestOf("hello")} HTTP/1.1`;
    const raw = await connectRaw(served.port);
    await raw.send(`${line}\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloEXTRA`);
    await until(() => raw.received() !== "");
    expect(statusesOf(raw.received())).toEqual([201]);
    raw.end();
    expect(await exists(`framing/blobs/${digestOf("hello")}`)).toBe(true);
  });

  test("a body that is refused unread is not taken for requests", async () => {
    const smuggled = "DELETE /v2/smuggled/manifests/v1 HTTP/1.1\r\nHost: x\r\n\r\n";
    await served.ask("PUT", "smuggled/manifests/v1", { body: INDEX });
    const raw = await connectRaw(served.port);
    const padding = new Uint8Array(MANIFEST_MAX_BYTES).fill(0x20);
    const length = smuggled.length + padding.byteLength;
    for (const line of ["PUT /v2/a/manifests/v1", "PUT /v2/a/blobs/uploads/nope?digest=x"]) {
      const before = statusesOf(raw.received()).length;
      await raw.send(`${line} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`);
      await raw.send(smuggled, padding);
      await until(() => statusesOf(raw.received()).length > before || raw.isClosed());
    }
    await raw.send("GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
    await until(() => raw.received().endsWith("{}") || raw.isClosed());
    expect(statusesOf(raw.received())).toEqual([413, 400, 200]);
    raw.end();
    expect(await exists("smuggled/manifests/v1")).toBe(true);
  });
});

describe("R49: a body that breaks off is never taken for a whole one", () => {
  const bytes = noise(70_000);
  const frames: [string, (body: Uint8Array) => (string | Uint8Array)[]][] = [
    ["Content-Length: 70001", (body) => [body]],
    // All of it, and only the chunk that says so is missing.
    ["Transfer-Encoding: chunked", (body) => [`${body.byteLength.toString(16)}\r\n`, body, "\r\n"]],
  ];

  for (const how of ["end", "terminate"] as const) {
    test.each(frames)(`a blob, ${how}: %s`, async (header, frame) => {
      await using served = await serveRegistry();
      const digest = digestOf(bytes);
      for (let i = 0; i < 40; i++) {
        const raw = await connectRaw(served.port);
        const line = `POST /v2/broken/blobs/uploads/?digest=${digest} HTTP/1.1`;
        await raw.send(`${line}\r\nHost: x\r\n${header}\r\n\r\n`, ...frame(bytes));
        // At every moment of its way: before the body is read, while, and after.
        if (i % 4 > 0) await Bun.sleep(i % 4);
        raw[how]();
      }
      await until(async () => (await readdir(`${served.root}/uploads`)).length === 0);
      expect((await served.ask("HEAD", `broken/blobs/${digest}`)).status).toBe(404);
    });
  }

  test.each(["end", "terminate"] as const)("a manifest, %s", async (how) => {
    for (const header of [`Content-Length: ${INDEX.length + 1}`, "Transfer-Encoding: chunked"]) {
      for (let i = 0; i < 20; i++) {
        const raw = await connectRaw(served.port);
        await raw.send(`PUT /v2/broken/manifests/v1 HTTP/1.1\r\nHost: x\r\n${header}\r\n\r\n`);
        await raw.send(header.startsWith("T") ? chunk(INDEX) : INDEX);
        if (i % 4 > 0) await Bun.sleep(i % 4);
        raw[how]();
      }
    }
    // Whatever was on its way has arrived when later requests are answered.
    for (let i = 0; i < 20; i++) expect(await exists("broken/manifests/v1")).toBe(false);
  });
});

describe("R48: paths lead nowhere else", () => {
  const digest = digestOf("tricks");
  test.each([
    "/v2/a/../../../etc/manifests/passwd",
    "/v2/a/%2e%2e/%2e%2e/etc/manifests/passwd",
    "/v2/../v2/../etc/passwd",
    "/v2/a/blobs/sha256:..%2f..%2f..%2findex.db",
    `/v2/a/blobs/sha256:${"../".repeat(20)}etc/passwd`,
    "/v2/a/manifests/..%2f..%2findex.json",
    "/v2/a/manifests/%2e%2e",
    "/v2/a/blobs/uploads/%2e%2e%2f%2e%2e%2findex.db",
    "/v2/a\\..\\b/manifests/v1",
    "/v2/a%5c..%5cb/manifests/v1",
    "/v2/a%00/manifests/v1",
    "/v2/a/manifests/v1%00",
    "/v2/%61%2f%2e%2e/manifests/v1",
    "/v2/a;b=c/manifests/v1",
    "/v2/\u00e9/manifests/v1",
    "/v2/%c0%ae%c0%ae/manifests/v1",
    "/v2/%zz/manifests/%zz",
    "//v2/a/manifests/v1",
    "/v2//manifests/v1",
    "/v2/a/manifests/",
    `/v2/a/blobs/${digest}/../../../b/blobs/${digest}`,
    // Too long to be printed.
    "/v2/<2000 of a/>manifests/v1",
    "/v2/<8000 of a>/manifests/v1",
    "/v2/a/manifests/<8000 of v>",
  ])("%s", async (pattern) => {
    await using served = await serveRegistry();
    const tree = () => readdir(served.root, { recursive: true });
    const path = pattern.replace(/<(\d+) of (.+)>/, (_, n, piece) => piece.repeat(Number(n)));
    const before = await tree();
    for (const method of ["GET", "PUT", "DELETE", "POST", "PATCH"]) {
      const head = `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2`;
      const [status = 0] = statusesOf(await exchange(served.port, `${head}\r\n\r\n{}`));
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(500);
    }
    expect((await tree()).sort()).toEqual(before.sort());
  });

  test("a line or headers that are too long are refused", async () => {
    const long = "x".repeat(1_000_000);
    for (const head of [
      `GET /v2/${long} HTTP/1.1\r\nHost: x`,
      `GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ${long}`,
    ]) {
      const raw = await connectRaw(served.port);
      await raw.send(`${head}\r\n\r\n`);
      await until(() => raw.isClosed());
      expect(statusesOf(raw.received())).toEqual([431]);
    }
  });
});

describe("R55: connections that only wait", () => {
  test("hundreds that never finish what they say keep nobody waiting, and cost nothing afterwards", async () => {
    await using served = await serveRegistry();
    const base = await openFiles();
    const digest = await pushBlob(served, "wait", noise(100_000));
    const heads = [
      "GE",
      "GET /v2/ HTTP/1.1\r\nHo",
      `POST /v2/wait/blobs/uploads/?digest=${digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc`,
      `POST /v2/wait/blobs/uploads/?digest=${digest} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff`,
    ];
    const raws = await Promise.all(
      Array.from({ length: 300 }, async (_, i) => {
        const raw = await connectRaw(served.port);
        await raw.send(heads[i % heads.length] ?? "");
        return raw;
      }),
    );
    expect((await served.ask("GET", "")).status).toBe(200);
    const bytes = noise(300_000, 7);
    expect(await pushBlob(served, "wait", bytes)).toBe(digestOf(bytes));
    expect(digestOf(await (await served.ask("GET", `wait/blobs/${digest}`)).bytes())).toBe(digest);
    for (const raw of raws) raw.terminate();
    await until(async () => (await openFiles()) <= base + 10);
    await until(async () => (await readdir(`${served.root}/uploads`)).length === 0);
  });

  async function openFiles(): Promise<number> {
    return (await readdir("/proc/self/fd")).length;
  }
});
