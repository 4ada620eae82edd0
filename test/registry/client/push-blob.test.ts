// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { type Fetch, realSleep, silentLog } from "../../../src/base/deps.ts";
import { bytes as byteCount, millis } from "../../../src/base/units.ts";
import {
  hasBlob,
  type PushDeps,
  type PushedBlob,
  pushBlob,
  pushStream,
  type UploadMemory,
} from "../../../src/registry/client/push-blob.ts";
import type { Remote } from "../../../src/registry/client/remote.ts";
import { digestOf } from "../../../src/registry/digest.ts";
import { noise, type Served, serveRegistry } from "../served.ts";
import { cuttingProxy } from "./cutting-proxy.ts";

const CHUNK = 256 * 1024;
const CONTENT = noise(1_500_000);

const deps: PushDeps = {
  fetch,
  sleep: () => Promise.resolve(),
  now: Date.now,
  log: silentLog,
  chunkSize: byteCount(CHUNK),
};

const remoteAt = (registry: string): Remote => ({
  registry,
  repository: "os/debian",
  authorization: null,
  ca: null,
});

function blobOf(bytes: Uint8Array<ArrayBuffer>): PushedBlob {
  const content = new Blob([bytes]);
  const open = (start: number, end: number) => content.slice(start, end);
  return { digest: digestOf(bytes), size: bytes.byteLength, open };
}

async function stored(served: Served, digest: string): Promise<string> {
  const response = await served.ask("GET", `os/debian/blobs/${digest}`);
  return digestOf(await response.bytes());
}

/** Requests as they went out: `PATCH 0-99`. */
function watching(): { fetch: Fetch; asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    fetch(url, init) {
      const range = new Headers(init?.headers).get("content-range");
      asked.push([init?.method, ...(range === null ? [] : [range])].join(" "));
      return fetch(url, init);
    },
  };
}

function memoryOf(...entries: [string, string][]): UploadMemory & { kept: Map<string, string> } {
  const kept = new Map(entries);
  return {
    kept,
    take(key) {
      const location = kept.get(key);
      kept.delete(key);
      return Promise.resolve(location);
    },
    keep: (key, location) => Promise.resolve(void kept.set(key, location)),
    forget: (key) => Promise.resolve(void kept.delete(key)),
  };
}

describe("pushBlob", () => {
  test("R49: in chunks, and not again", async () => {
    await using served = await serveRegistry();
    const remote = remoteAt(served.url);
    const blob = blobOf(CONTENT);
    const { fetch, asked } = watching();
    const sent: number[] = [];
    const onProgress = (done: number) => void sent.push(done);
    expect(await hasBlob(remote, blob.digest, deps)).toBe(false);
    expect(await pushBlob(remote, blob, { ...deps, fetch, onProgress })).toBe("pushed");
    expect(asked).toEqual([
      "HEAD",
      "POST",
      "PATCH 0-262143",
      "PATCH 262144-524287",
      "PATCH 524288-786431",
      "PATCH 786432-1048575",
      "PATCH 1048576-1310719",
      "PATCH 1310720-1499999",
      "PUT",
    ]);
    expect(sent[0]).toBe(0);
    expect(sent.at(-1)).toBe(CONTENT.byteLength);
    expect(sent.toSorted((a, b) => a - b)).toEqual(sent);
    expect(await stored(served, blob.digest)).toBe(blob.digest);
    expect(await hasBlob(remote, blob.digest, deps)).toBe(true);
    expect(await pushBlob(remote, blob, deps)).toBe("present");
  });

  test.each([0, 1, 2, CHUNK - 1, CHUNK, CHUNK + 1])("a blob of %d bytes", async (size) => {
    await using served = await serveRegistry();
    const blob = blobOf(CONTENT.slice(0, size));
    expect(await pushBlob(remoteAt(served.url), blob, deps)).toBe("pushed");
    expect(await stored(served, blob.digest)).toBe(blob.digest);
  });

  test("R49: a connection that breaks is taken up where the registry is", async () => {
    await using served = await serveRegistry();
    await using proxy = await cuttingProxy(served.port, () => ({ up: 400_000 }));
    const blob = blobOf(CONTENT);
    const pushed = await pushBlob(remoteAt(proxy.url), blob, deps);
    expect(pushed).toBe("pushed");
    expect(await stored(served, blob.digest)).toBe(blob.digest);
    expect(proxy.connections).toBeGreaterThan(3);
    // Not much more than once: what came before the cut is not sent again.
    expect(proxy.connections).toBeLessThan(12);
  });

  test("R49: a registry that is restarted between two chunks", async () => {
    const first = await serveRegistry();
    const blob = blobOf(CONTENT);
    let served: Served = first;
    let patches = 0;
    const fetch: Fetch = async (url, init) => {
      if (init?.method === "PATCH" && ++patches === 3) {
        await first.crash();
        await first.registry.close();
        served = await serveRegistry({ root: first.root });
        throw new Error("connection refused");
      }
      return await globalThis.fetch(url.replace(first.url, served.url), init);
    };
    expect(await pushBlob(remoteAt(first.url), blob, { ...deps, fetch })).toBe("pushed");
    expect(await stored(served, blob.digest)).toBe(blob.digest);
    expect(patches).toBe(7);
    await served[Symbol.asyncDispose]();
  });

  test("another process goes on where the first was stopped", async () => {
    await using served = await serveRegistry();
    const blob = blobOf(CONTENT);
    const remote = remoteAt(served.url);
    const memory = memoryOf();
    const stop = new AbortController();
    const onProgress = (sent: number) => {
      if (sent >= 600_000) stop.abort(new DOMException("Stopped by SIGINT", "AbortError"));
    };
    const first = pushBlob(remote, blob, { ...deps, memory, signal: stop.signal, onProgress });
    await expect(first).rejects.toThrow("SIGINT");
    expect([...memory.kept.keys()]).toEqual([`${served.url} os/debian ${blob.digest}`]);

    const { fetch, asked } = watching();
    expect(await pushBlob(remote, blob, { ...deps, fetch, memory })).toBe("pushed");
    expect(asked.slice(0, 2)).toEqual(["HEAD", "GET"]);
    expect(Number(asked[2]?.split(/[ -]/)[1])).toBeGreaterThanOrEqual(524_288);
    expect(memory.kept.size).toBe(0);
    expect(await stored(served, blob.digest)).toBe(blob.digest);
  });

  test("a location that nobody knows any more is forgotten", async () => {
    await using served = await serveRegistry();
    const blob = blobOf(CONTENT);
    const gone = `${served.url}/v2/os/debian/blobs/uploads/00000000-0000-0000-0000-000000000000`;
    const memory = memoryOf([`${served.url} os/debian ${blob.digest}`, gone]);
    expect(await pushBlob(remoteAt(served.url), blob, { ...deps, memory })).toBe("pushed");
    expect(memory.kept.size).toBe(0);
  });

  test("what is left of other content is not gone on with", async () => {
    await using served = await serveRegistry();
    const blob = blobOf(CONTENT);
    const begun = await served.ask("POST", "os/debian/blobs/uploads/");
    const path = begun.headers.get("location") ?? "";
    await served.ask("PATCH", path.slice("/v2/".length), { body: noise(300_000, 9) });
    const key = `${served.url} os/debian ${blob.digest}`;
    const memory = memoryOf([key, `${served.url}${path}`]);
    expect(await pushBlob(remoteAt(served.url), blob, { ...deps, memory })).toBe("pushed");
    expect(await stored(served, blob.digest)).toBe(blob.digest);
  });

  test("one byte, which no range can tell from none, is no endless loop", async () => {
    await using served = await serveRegistry();
    const blob = blobOf(CONTENT);
    const begun = await served.ask("POST", "os/debian/blobs/uploads/");
    const path = begun.headers.get("location") ?? "";
    await served.ask("PATCH", path.slice("/v2/".length), { body: CONTENT.slice(0, 1) });
    const memory = memoryOf([`${served.url} os/debian ${blob.digest}`, `${served.url}${path}`]);
    expect(await pushBlob(remoteAt(served.url), blob, { ...deps, memory })).toBe("pushed");
  });

  test("the answer to the closing request is lost", async () => {
    await using served = await serveRegistry();
    let isLost = false;
    const fetch: Fetch = async (url, init) => {
      const response = await globalThis.fetch(url, init);
      if (init?.method !== "PUT" || isLost) return response;
      isLost = true;
      throw new Error("connection reset");
    };
    const blob = blobOf(CONTENT);
    expect(await pushBlob(remoteAt(served.url), blob, { ...deps, fetch })).toBe("present");
  });

  test("a registry that takes nothing, and says that all is well", async () => {
    let now = 0;
    const sleep = (ms: number) => {
      now += ms;
      return Promise.resolve();
    };
    const fetch: Fetch = (_url, init) => {
      if (init?.method === "HEAD") return Promise.resolve(new Response(null, { status: 404 }));
      const headers = { location: "/v2/u/1", range: "0-0" };
      return Promise.resolve(new Response(null, { status: 202, headers }));
    };
    const clock = { ...deps, fetch, sleep, now: () => now };
    const pushed = pushBlob(remoteAt("http://registry"), blobOf(CONTENT), clock);
    await expect(pushed).rejects.toMatchObject({
      code: "REGISTRY_UNREACHABLE",
      cause: { message: "the registry took nothing of the chunk" },
    });
  });

  test("content that is not what its digest says", async () => {
    await using served = await serveRegistry();
    const blob = { ...blobOf(CONTENT), digest: digestOf("other") };
    const pushed = pushBlob(remoteAt(served.url), blob, deps);
    await expect(pushed).rejects.toMatchObject({
      code: "ARTIFACT_INVALID",
      message: expect.stringContaining("what came there is not sha256:"),
    });
  });

  test("content that shrinks while it is read", async () => {
    await using served = await serveRegistry();
    const blob = { ...blobOf(CONTENT), open: () => new Blob([CONTENT.slice(0, 1000)]) };
    const pushed = pushBlob(remoteAt(served.url), blob, deps);
    await expect(pushed).rejects.toMatchObject({ code: "CONFLICT" });
  });

  test.each([
    [401, "UNAUTHENTICATED"],
    [403, "FORBIDDEN"],
    [409, "CONFLICT"],
    [413, "ARTIFACT_INVALID"],
    [507, "STORAGE_FULL"],
  ])("HTTP %d is %s at once", async (status, code) => {
    let asked = 0;
    const fetch: Fetch = (_url, init) => {
      asked++;
      if (init?.method === "HEAD") return Promise.resolve(new Response(null, { status: 404 }));
      const errors = [{ code: "DENIED", message: "the quota is used up" }];
      return Promise.resolve(Response.json({ errors }, { status }));
    };
    const pushed = pushBlob(remoteAt("http://registry"), blobOf(CONTENT), { ...deps, fetch });
    await expect(pushed).rejects.toMatchObject({ code, cause: "DENIED: the quota is used up" });
    expect(asked).toBe(2);
  });

  test("a registry that asks for patience gets it, and no more than there is", async () => {
    let now = 0;
    const slept: number[] = [];
    const sleep = (ms: number) => {
      slept.push(ms);
      now += ms;
      return Promise.resolve();
    };
    const fetch: Fetch = () => {
      const headers = new Headers(slept.length === 0 ? { "retry-after": "40" } : {});
      return Promise.resolve(new Response("", { status: 429, headers }));
    };
    const clock = { ...deps, fetch, sleep, now: () => now, patience: millis(45_000) };
    const pushed = pushBlob(remoteAt("http://registry"), blobOf(CONTENT), clock);
    await expect(pushed).rejects.toMatchObject({
      code: "REGISTRY_UNREACHABLE",
      message: expect.stringMatching(
        /^Cannot push sha256:.*: the registry took nothing for 4\d s$/,
      ),
    });
    expect(slept).toEqual([40_000, 1000, 2000]);
    slept.length = 0;
    const hasty = { ...clock, patience: millis(10_000) };
    await expect(hasBlob(remoteAt("http://registry"), digestOf(""), hasty)).rejects.toThrow(
      /: the registry wants to be asked again in 40 s$/,
    );
  });

  test("R55: a connection on which nothing moves is given up and taken up again", async () => {
    await using served = await serveRegistry();
    let patches = 0;
    const fetch: Fetch = (url, init) => {
      if (init?.method !== "PATCH" || ++patches > 1) return globalThis.fetch(url, init);
      return new Promise((_, reject) => {
        init.signal?.addEventListener("abort", () => reject(init.signal?.reason));
      });
    };
    const blob = blobOf(CONTENT.slice(0, 1000));
    const impatient = { ...deps, fetch, sleep: realSleep, stallAfter: millis(40) };
    expect(await pushBlob(remoteAt(served.url), blob, impatient)).toBe("pushed");
    expect(patches).toBe(2);
  });

  test("the registry says how large chunks must be at least, and where the next goes", async () => {
    const asked: string[] = [];
    const fetch: Fetch = (url, init) => {
      const range = new Headers(init?.headers).get("content-range");
      asked.push(`${init?.method} ${url.replace(/.*\/v2\//, "")} ${range ?? ""}`.trim());
      if (init?.method === "HEAD") return Promise.resolve(new Response(null, { status: 404 }));
      const status = { POST: 202, PATCH: 202, PUT: 201 }[init?.method ?? ""] ?? 500;
      // It takes less than it was sent.
      const headers = {
        location: `/v2/u/${asked.length}?state=${asked.length}`,
        "oci-chunk-min-length": "1000000",
        ...(init?.method === "PATCH" && { range: asked.length === 3 ? "0-999998" : "0-1499999" }),
      };
      return Promise.resolve(new Response(null, { status, headers }));
    };
    const blob = blobOf(CONTENT);
    await pushBlob(remoteAt("http://registry"), blob, { ...deps, fetch });
    expect(asked).toEqual([
      `HEAD os/debian/blobs/${blob.digest}`,
      "POST os/debian/blobs/uploads/",
      "PATCH u/2?state=2 0-999999",
      "PATCH u/3?state=3 999999-1499999",
      `PUT u/4?state=4&digest=${encodeURIComponent(blob.digest)}`,
    ]);
  });

  test("an upload elsewhere does not get to see our credentials", async () => {
    const seen: [string, string | null][] = [];
    const fetch: Fetch = (url, init) => {
      seen.push([new URL(url).host, new Headers(init?.headers).get("authorization")]);
      if (init?.method === "HEAD") return Promise.resolve(new Response(null, { status: 404 }));
      const location = "https://bucket.example/upload";
      const status = init?.method === "PUT" ? 201 : 202;
      return Promise.resolve(new Response(null, { status, headers: { location } }));
    };
    const remote = { ...remoteAt("https://registry"), authorization: "Basic eDp5" };
    await pushBlob(remote, blobOf(CONTENT.slice(0, 10)), { ...deps, fetch });
    expect(seen).toEqual([
      ["registry", "Basic eDp5"],
      ["registry", "Basic eDp5"],
      ["bucket.example", null],
      ["bucket.example", null],
    ]);
  });

  test("a token that expires during the upload is renewed", async () => {
    await using served = await serveRegistry();
    const scopes: (string | null)[] = [];
    let token = 0;
    let uses = 0;
    const fetch: Fetch = (url, init) => {
      const { pathname, searchParams } = new URL(url);
      if (pathname === "/token") {
        scopes.push(searchParams.get("scope"));
        uses = 0;
        return Promise.resolve(Response.json({ token: `t${++token}` }));
      }
      const isFresh = uses++ < 3;
      const authorization = new Headers(init?.headers).get("authorization");
      if (authorization === `Bearer t${token}` && isFresh) return globalThis.fetch(url, init);
      const headers = { "www-authenticate": `Bearer realm="${served.url}/token",service="r"` };
      return Promise.resolve(new Response("", { status: 401, headers }));
    };
    const blob = blobOf(CONTENT);
    expect(await pushBlob(remoteAt(served.url), blob, { ...deps, fetch })).toBe("pushed");
    expect(await stored(served, blob.digest)).toBe(blob.digest);
    expect(token).toBeGreaterThan(2);
    expect(new Set(scopes)).toEqual(new Set(["repository:os/debian:pull,push"]));
  });
});

describe("pushStream", () => {
  const SIZE = 1_500_000;

  /** The content in pieces of odd sizes, and how often it was begun. */
  function source() {
    const begun: number[] = [];
    async function* open() {
      begun.push(begun.length);
      for (let at = 0; at < SIZE; at += 70_001) {
        await Promise.resolve();
        yield CONTENT.subarray(at, Math.min(SIZE, at + 70_001));
      }
    }
    return { open, begun };
  }

  test("tells the digest of what it has sent", async () => {
    await using served = await serveRegistry();
    const { open, begun } = source();
    const pushed = await pushStream(remoteAt(served.url), open, deps);
    expect(pushed).toEqual({ digest: digestOf(CONTENT), size: SIZE });
    expect(await stored(served, pushed.digest)).toBe(pushed.digest);
    expect(begun).toHaveLength(1);
  });

  test("what broke in a chunk is sent again from the kept chunk", async () => {
    await using served = await serveRegistry();
    await using proxy = await cuttingProxy(served.port, () => ({ up: 400_000 }));
    const { open, begun } = source();
    const pushed = await pushStream(remoteAt(proxy.url), open, deps);
    expect(pushed.digest).toBe(digestOf(CONTENT));
    expect(await stored(served, pushed.digest)).toBe(pushed.digest);
    expect(begun).toHaveLength(1);
  });

  test("what the registry has lost is made again, and hashed once", async () => {
    await using served = await serveRegistry();
    let patches = 0;
    let location = "";
    const fetch: Fetch = async (url, init) => {
      if (init?.method === "PATCH" && ++patches === 4) {
        location = url;
        await globalThis.fetch(url, { method: "DELETE" });
      }
      return await globalThis.fetch(url, init);
    };
    const { open, begun } = source();
    const pushed = await pushStream(remoteAt(served.url), open, { ...deps, fetch });
    expect(location).not.toBe("");
    expect(pushed).toEqual({ digest: digestOf(CONTENT), size: SIZE });
    expect(await stored(served, pushed.digest)).toBe(pushed.digest);
    expect(begun).toHaveLength(2);
  });

  test("an error of the source is the push's own", async () => {
    await using served = await serveRegistry();
    async function* open() {
      await Promise.resolve();
      yield CONTENT;
      throw new Error("xz: corrupt input");
    }
    const pushed = pushStream(remoteAt(served.url), open, deps);
    await expect(pushed).rejects.toMatchObject({
      message: "Cannot push: the content cannot be read",
      cause: new Error("xz: corrupt input"),
    });
  });
});
