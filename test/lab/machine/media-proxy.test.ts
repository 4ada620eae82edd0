// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { silentLog } from "../../../src/base/deps.ts";
import { startMediaProxy } from "../../../src/lab/machine/media-proxy.ts";

const MIB = 1024 * 1024;
const CONTENT = new Uint8Array(3 * MIB + 100).map((_, i) => (i * 7) % 253);

/** A media server that answers ranges and fails the first `failures` of them. */
function source(failures: number) {
  const ranges: string[] = [];
  const fetchMedium = (_url: string, init?: RequestInit) => {
    const range = new Headers(init?.headers).get("range") ?? "";
    ranges.push(range);
    if (ranges.length <= failures) return Promise.resolve(new Response("", { status: 503 }));
    const [start, end] = range.replace("bytes=", "").split("-").map(Number);
    const body = CONTENT.slice(start, Number(end) + 1);
    return Promise.resolve(new Response(body, { status: 206 }));
  };
  return { ranges, fetchMedium };
}

function proxy(failures = 0) {
  const { ranges, fetchMedium } = source(failures);
  const medium = { url: "http://192.0.2.1/m/tok/boot.iso", size: CONTENT.length };
  const deps = { fetch: fetchMedium, sleep: () => Promise.resolve(), log: silentLog };
  return { ranges, server: startMediaProxy(medium, deps) };
}

test("ranges, their limits, and a closed connection", async () => {
  const { server } = proxy();
  try {
    const head = await fetch(server.url, { method: "HEAD" });
    expect(head.headers.get("content-length")).toBe(String(CONTENT.length));
    const table: readonly [string, number, number, number][] = [
      ["bytes=0-9", 206, 0, 10],
      [`bytes=${MIB - 5}-${MIB + 4}`, 206, MIB - 5, MIB + 5],
      [`bytes=${3 * MIB}-`, 206, 3 * MIB, CONTENT.length],
      [`bytes=${3 * MIB}-${9 * MIB}`, 206, 3 * MIB, CONTENT.length],
      [`bytes=${4 * MIB}-`, 416, 0, 0],
      ["bytes=-5", 416, 0, 0],
      ["", 416, 0, 0],
    ];
    for (const [range, status, start, end] of table) {
      const response = await fetch(server.url, { headers: { range } });
      expect(response.status).toBe(status);
      expect(response.headers.get("connection")).toBe("close");
      expect(await response.bytes()).toEqual(CONTENT.slice(start, end));
    }
  } finally {
    await server.stop();
  }
});

test("many small reads become few reads of the medium", async () => {
  const { server, ranges } = proxy();
  try {
    for (let at = 0; at < CONTENT.length; at += MIB / 4) {
      const response = await fetch(server.url, {
        headers: { range: `bytes=${at}-${at + MIB / 4 - 1}` },
      });
      await response.arrayBuffer();
    }
    expect(ranges).toHaveLength(4);
    expect(server.reads()).toBe(4);
  } finally {
    await server.stop();
  }
});

test("a medium that is away for a moment is asked again; one that stays away is an error", async () => {
  for (const [failures, status] of [
    [2, 206],
    [9, 502],
  ] as const) {
    const { server } = proxy(failures);
    try {
      expect((await fetch(server.url, { headers: { range: "bytes=0-9" } })).status).toBe(status);
    } finally {
      await server.stop();
    }
  }
});

test("stopping ends a read that hangs", async () => {
  const { promise: asked, resolve } = Promise.withResolvers<AbortSignal>();
  const server = startMediaProxy(
    { url: "http://192.0.2.1/m/tok/boot.iso", size: 10 },
    {
      fetch: (_url, init) => {
        const signal = init?.signal ?? AbortSignal.abort();
        resolve(signal);
        return new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
        });
      },
      sleep: () => Promise.resolve(),
      log: silentLog,
    },
  );
  const reading = fetch(server.url, { headers: { range: "bytes=0-9" } }).catch(() => undefined);
  const signal = await asked;
  await server.stop();
  await reading;
  expect(signal.aborted).toBeTrue();
});
