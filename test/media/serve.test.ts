// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, utimesSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type Log, silentLog } from "../../src/base/deps.ts";
import type { MediaSource } from "../../src/media/answer.ts";
import { listenMedia, type MediaListener } from "../../src/media/listen.ts";
import { overlay, statBase } from "../../src/media/overlay.ts";
import { serveMedia } from "../../src/media/serve.ts";
import { type RawRequest, rawRequest } from "./raw-http.ts";
import { run, scratch } from "./xorriso.ts";

const dir = scratch();
const BASE = join(dir.path, "base.iso");
const baseBytes = Buffer.from(Uint8Array.from({ length: 12_000_000 }, (_, i) => i % 251));
const patch = { offset: 3_000_000, bytes: Buffer.alloc(5_000_000, "task") };
const spliced = Buffer.concat([
  baseBytes.subarray(0, patch.offset),
  patch.bytes,
  baseBytes.subarray(patch.offset + patch.bytes.length),
]);
const SIZE = baseBytes.length;

let sources: Readonly<Record<string, MediaSource>>;
/** What onContent was told, in order. */
const contents: number[] = [];

function handle(request: Request): Response {
  const source = sources[new URL(request.url).pathname];
  if (source === undefined) return new Response(null, { status: 404 });
  return serveMedia(request, source, (bytes) => contents.push(bytes));
}

interface Endpoint {
  readonly port: number;
  readonly tls: boolean;
}
const endpoints: Record<string, Endpoint> = {};
const listeners: MediaListener[] = [];
const bunServers: Bun.Server<undefined>[] = [];

beforeAll(async () => {
  await Bun.write(BASE, baseBytes);
  sources = {
    "/bytes": { kind: "bytes", bytes: spliced },
    "/file": { kind: "file", path: BASE },
    "/overlay": { kind: "overlay", overlay: overlay(statBase(BASE), [patch]) },
  };
  const [keyFile, certFile] = [join(dir.path, "key.pem"), join(dir.path, "cert.pem")];
  run(
    ...[
      "openssl",
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
    ],
    ...["-subj", "/CN=media.test", "-days", "2", "-keyout", keyFile, "-out", certFile],
  );
  const tls = { key: await Bun.file(keyFile).text(), cert: await Bun.file(certFile).text() };
  for (const [name, secure] of [
    ["http", undefined],
    ["https", tls],
  ] as const) {
    const listener = await listenMedia({ port: 0, tls: secure, fetch: handle, log: silentLog });
    listeners.push(listener);
    endpoints[`listenMedia ${name}`] = { port: listener.port, tls: secure !== undefined };
    const server = Bun.serve({ port: 0, fetch: handle, ...(secure ? { tls: secure } : {}) });
    bunServers.push(server);
    endpoints[`Bun.serve ${name}`] = { port: server.port ?? 0, tls: secure !== undefined };
  }
});

afterAll(async () => {
  for (const listener of listeners) await listener.close();
  for (const server of bunServers) await server.stop(true);
  dir[Symbol.dispose]();
});

const ask = (endpoint: string, request: Omit<RawRequest, "port">) => {
  const { port, tls } = endpoints[endpoint] ?? { port: 0, tls: false };
  return rawRequest({ port, tls, ...request });
};

const contentOf = (path: string) => (path === "/file" ? baseBytes : spliced);

/** Ranges before, in, after and over the edges of the patch, and at the ends of the image. */
const RANGES: readonly (readonly [number, number])[] = [
  [0, 0],
  [32_768, 34_815],
  [2_999_000, 3_000_999],
  [3_500_000, 3_500_511],
  [7_999_999, 8_000_000],
  [2_999_999, 6_999_000],
  [11_999_999, 11_999_999],
];

describe.each(["listenMedia http", "listenMedia https", "Bun.serve http", "Bun.serve https"])(
  "%s",
  (endpoint) => {
    describe.each(["/bytes", "/file", "/overlay"])("%s", (path) => {
      test.each(["1.0", "1.1"] as const)(
        "R18 HEAD tells the length over HTTP/%s",
        async (version) => {
          const headers = { range: "bytes=0-4" };
          const answer = await ask(endpoint, { method: "HEAD", path, version, headers });
          expect(answer.status).toBe(200);
          expect(answer.body).toHaveLength(0);
          expect(answer.headers.get("content-length")).toBe(`${SIZE}`);
          expect(answer.headers.get("content-type")).toBe("application/x-iso9660-image");
          expect(answer.headers.get("accept-ranges")).toBe("bytes");
          expect(answer.headers.get("cache-control")).toStartWith("private");
          expect(answer.headers.get("content-disposition")).toBe("inline");
          expect(answer.headers.get("transfer-encoding")).toBeNull();
        },
      );

      test.each(["1.0", "1.1"] as const)("R18 R20 ranges over HTTP/%s", async (version) => {
        for (const [first, last] of RANGES) {
          const headers = { range: `bytes=${first}-${last}` };
          const answer = await ask(endpoint, { path, version, headers });
          expect(answer.status).toBe(206);
          expect(answer.headers.get("content-range")).toBe(`bytes ${first}-${last}/${SIZE}`);
          expect(answer.headers.get("content-length")).toBe(`${last - first + 1}`);
          expect(answer.headers.get("transfer-encoding")).toBeNull();
          expect(answer.body.equals(contentOf(path).subarray(first, last + 1))).toBe(true);
        }
      });

      test.each(["bytes=12000000-", "bytes=9-5", "bytes=-0"])("R18 416 for %s", async (range) => {
        const answer = await ask(endpoint, { path, headers: { range } });
        expect(answer.status).toBe(416);
        expect(answer.headers.get("content-range")).toBe(`bytes */${SIZE}`);
        expect(answer.headers.get("content-length")).toBe("0");
        expect(answer.body).toHaveLength(0);
      });

      test("R18 If-None-Match and If-Range go by the ETag", async () => {
        const { headers } = await ask(endpoint, { method: "HEAD", path });
        const etag = headers.get("etag") ?? "";
        expect(etag).toMatch(/^"[^"]+"$/);
        const range = "bytes=5-9";
        const statusWith = async (h: Record<string, string>) =>
          (await ask(endpoint, { path: path, method: "GET", headers: h })).status;
        expect(await statusWith({ "if-none-match": etag })).toBe(304);
        expect(await statusWith({ "if-none-match": `"x", W/${etag}`, range })).toBe(304);
        expect(await statusWith({ "if-none-match": `"x"`, range })).toBe(206);
        expect(await statusWith({ "if-range": etag, range })).toBe(206);
      });

      test.each(["POST", "PUT", "DELETE", "OPTIONS"])("R18 405 for %s", async (method) => {
        const answer = await ask(endpoint, { method, path });
        expect(answer.status).toBe(405);
        expect(answer.headers.get("allow")).toBe("GET, HEAD");
        expect(answer.headers.get("content-length")).toBe("0");
      });
    });

    test("a path that is nothing is not found, with a length", async () => {
      const answer = await ask(endpoint, { path: "/nothing" });
      expect(answer.status).toBe(404);
      expect(answer.headers.get("content-length")).toBe("0");
    });
  },
);

/** Bun.serve cannot send a whole overlay, see below. */
const WHOLE = [
  ...["/bytes", "/file", "/overlay"].map((path) => ({ endpoint: "listenMedia http", path })),
  ...["/bytes", "/file", "/overlay"].map((path) => ({ endpoint: "listenMedia https", path })),
  ...["/bytes", "/file"].map((path) => ({ endpoint: "Bun.serve http", path })),
  ...["/bytes", "/file"].map((path) => ({ endpoint: "Bun.serve https", path })),
];

const WHOLE_HEADERS: readonly Readonly<Record<string, string>>[] = [
  {},
  { range: "bytes=0-4,10-14" },
  { range: "sectors=0-4" },
  { range: "bytes=5-9", "if-range": '"another"' },
];

test.each(WHOLE)(
  "R18 R20 $endpoint sends all of $path, never in chunks",
  async ({ endpoint, path }) => {
    for (const version of ["1.0", "1.1"] as const) {
      for (const headers of WHOLE_HEADERS) {
        const answer = await ask(endpoint, { path, version, headers });
        expect(answer.status).toBe(200);
        expect(answer.headers.get("content-length")).toBe(`${SIZE}`);
        expect(answer.headers.get("transfer-encoding")).toBeNull();
        expect(answer.body.equals(contentOf(path))).toBe(true);
      }
    }
  },
);

test("Bun.serve still drops the Content-Length of a stream, which is why listenMedia exists", async () => {
  const answer = await ask("Bun.serve http", { path: "/overlay" });
  expect(answer.headers.get("content-length")).toBeNull();
  expect(answer.headers.get("transfer-encoding")).toBe("chunked");
});

test("R18 GETs that are answered with content are counted, and no other request", async () => {
  contents.length = 0;
  const endpoint = "listenMedia http";
  await ask(endpoint, { method: "HEAD", path: "/overlay" });
  await ask(endpoint, { path: "/overlay", headers: { range: "bytes=9-5" } });
  await ask(endpoint, { path: "/overlay", headers: { "if-none-match": "*" } });
  await ask(endpoint, { path: "/overlay", method: "POST" });
  expect(contents).toEqual([]);
  await ask(endpoint, { path: "/overlay", headers: { range: "bytes=0-2047" } });
  await ask(endpoint, { path: "/bytes" });
  expect(contents).toEqual([2048, SIZE]);
});

test("R18 If-Range goes by the date too, when there is one", async () => {
  const endpoint = "listenMedia http";
  const { headers } = await ask(endpoint, { method: "HEAD", path: "/overlay" });
  const date = headers.get("last-modified") ?? "";
  const range = "bytes=5-9";
  const same = await ask(endpoint, { path: "/overlay", headers: { range, "if-range": date } });
  expect(same.status).toBe(206);
  const older = { range, "if-range": "Thu, 01 Jan 1970 00:00:00 GMT" };
  expect((await ask(endpoint, { path: "/overlay", headers: older })).status).toBe(200);
});

test("R18 the ETag of an overlay changes with its patches and its base", async () => {
  using own = scratch();
  const path = join(own.path, "base");
  await Bun.write(path, "0123456789");
  const etag = (at: number, text: string) => {
    const image = overlay(statBase(path), [{ offset: at, bytes: Buffer.from(text) }]);
    const source: MediaSource = { kind: "overlay", overlay: image };
    return serveMedia(new Request("http://a/", { method: "HEAD" }), source).headers.get("etag");
  };
  const first = etag(0, "a");
  expect(etag(0, "a")).toBe(first);
  const others = [etag(1, "a"), etag(0, "b")];
  utimesSync(path, 1, 1);
  expect(new Set([first, ...others, etag(0, "a")]).size).toBe(4);
});

test("a base that was changed or removed after it was laid over is not served", async () => {
  using own = scratch();
  const path = join(own.path, "base");
  await Bun.write(path, "0123456789");
  const source: MediaSource = { kind: "overlay", overlay: overlay(statBase(path), []) };
  const serve = () => serveMedia(new Request("http://a/"), source);
  expect(serve().status).toBe(200);
  utimesSync(path, 1, 1);
  expect(serve).toThrow(expect.objectContaining({ code: "MEDIA_INVALID" }));
  await Bun.file(path).delete();
  expect(serve).toThrow(expect.objectContaining({ code: "MEDIA_INVALID" }));
});

test("a handler that throws is answered with 500, and the log says why but not where", async () => {
  const lines: string[] = [];
  const log: Log = {
    ...silentLog,
    warn: (fields, message) => lines.push(`${message} ${fields.err}`),
  };
  const fetch = () => {
    throw new Error("no base");
  };
  const listener = await listenMedia({ port: 0, fetch, log });
  const answer = await rawRequest({ port: listener.port, path: "/m/secret/boot.iso" });
  await listener.close();
  expect(answer.status).toBe(500);
  expect(answer.headers.get("content-length")).toBe("0");
  expect(lines).toEqual(["a medium was not sent to its end Error: no base"]);
});

const openFiles = () => readdirSync("/proc/self/fd").length;

test("R20 a reader that goes away in the middle leaves no file open", async () => {
  const { port } = endpoints["listenMedia http"] ?? { port: 0 };
  const before = openFiles();
  for (let i = 0; i < 5; i++) {
    const socket = connect(port, "127.0.0.1");
    socket.write("GET /overlay HTTP/1.1\r\nhost: a\r\n\r\n");
    await new Promise((resolve) => socket.once("data", resolve));
    socket.destroy();
  }
  while (openFiles() > before) await Bun.sleep(5);
});
