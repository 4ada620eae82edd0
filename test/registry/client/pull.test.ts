// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { type Fetch, silentLog } from "../../../src/base/deps.ts";
import { millis } from "../../../src/base/units.ts";
import {
  type ArtifactSource,
  openBlob,
  type PullDeps,
  resolveArtifact,
} from "../../../src/registry/client/pull.ts";
import { digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { noise, pushImage, serveRegistry, text } from "../served.ts";

const source: ArtifactSource = {
  registry: "http://registry:5000",
  repository: "os/debian",
  reference: "13",
  authorization: "Bearer secret",
  ca: null,
};

/** A clock that only moves when somebody sleeps. */
function depsWith(fetch: Fetch, more: Partial<PullDeps> = {}): PullDeps & { slept: number[] } {
  let now = 0;
  const slept: number[] = [];
  const sleep = (ms: number) => {
    now += ms;
    slept.push(ms);
    return Promise.resolve();
  };
  return { fetch, sleep, now: () => now, log: silentLog, slept, ...more };
}

const real: PullDeps = { fetch, sleep: (ms) => Bun.sleep(ms), now: Date.now, log: silentLog };

async function collect(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const code = (expected: string) => expect.objectContaining({ code: expected });

/** Bodies that deliver `bytes` from where they are asked, and break as `cut` says. */
function blobServer(bytes: Uint8Array, cut: (attempt: number) => number, ranges = true) {
  const asked: (string | null)[] = [];
  const fetch: Fetch = (_, init) => {
    const range = new Headers(init?.headers).get("range");
    asked.push(range);
    const start = ranges ? Number(/bytes=(\d+)/.exec(range ?? "")?.[1] ?? 0) : 0;
    const end = Math.min(bytes.length, start + cut(asked.length));
    let at = start;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= end) {
          if (end < bytes.length) controller.error(new Error("connection reset"));
          else controller.close();
          return;
        }
        controller.enqueue(bytes.slice(at, Math.min(end, at + 1000)));
        at += 1000;
      },
    });
    const headers = { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
    const isPart = ranges && range !== null;
    return Promise.resolve(new Response(body, isPart ? { status: 206, headers } : {}));
  };
  return { fetch, asked };
}

describe("resolveArtifact", () => {
  test("R48: from the registry itself, with the one layer", async () => {
    await using served = await serveRegistry();
    const bytes = noise(3_000_000);
    const { digest } = await pushImage(served, "os/debian", "13", {
      layers: [bytes],
      titles: ["root.tar.zst"],
    });
    const here = { ...source, registry: served.url };
    for (const reference of ["13", digest]) {
      const artifact = await resolveArtifact({ ...here, reference }, real);
      expect(artifact.manifestDigest).toBe(digest);
      expect(artifact.layer).toMatchObject({ size: 3_000_000, title: "root.tar.zst" });
    }
    const { layer } = await resolveArtifact(here, real);
    const seen: number[] = [];
    const onProgress = (received: number) => void seen.push(received);
    expect(await collect(openBlob(here, layer, { ...real, onProgress }))).toEqual(
      Buffer.from(bytes),
    );
    expect(seen.at(-1)).toBe(3_000_000);
    const absent = resolveArtifact({ ...here, reference: "14" }, real);
    await expect(absent).rejects.toEqual(code("ARTIFACT_NOT_FOUND"));
  });

  const layer = (title: string, mediaType = "application/octet-stream") => ({
    mediaType,
    digest: digestOf(title),
    size: 10,
    annotations: { "org.opencontainers.image.title": title },
  });
  const manifestOf = (...layers: unknown[]) =>
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.image,
      config: { mediaType: "x/y", digest: digestOf("{}"), size: 2 },
      layers,
    });

  test.each([
    ["the only one", [layer("anything.bin")], "anything.bin"],
    ["a rootfs", [layer("a.tar"), layer("my-rootfs.tar.gz")], "my-rootfs.tar.gz"],
    ["a tarball", [layer("README.md"), layer("debian.tar.xz")], "debian.tar.xz"],
    ["a tarball by type", [layer("a"), layer("b", "application/x-tar+zstd")], "b"],
    ["none of two", [layer("a.tar"), layer("b.tar")], undefined],
    ["none of none", [], undefined],
  ])("chooses %s", async (_, layers, title) => {
    const deps = depsWith(() => Promise.resolve(new Response(manifestOf(...layers))));
    const resolved = resolveArtifact(source, deps);
    if (title === undefined) await expect(resolved).rejects.toEqual(code("ARTIFACT_INVALID"));
    else expect((await resolved).layer.title).toBe(title);
  });

  test.each([
    ["an index", JSON.stringify({ schemaVersion: 2, manifests: [] }), {}],
    ["no manifest", "<html>", {}],
    ["a digest that lies", manifestOf(layer("a")), { "docker-content-digest": digestOf("other") }],
    ["megabytes", " ".repeat(5_000_000), {}],
  ])("refuses %s", async (_, body, headers) => {
    const deps = depsWith(() => Promise.resolve(new Response(body, { headers })));
    await expect(resolveArtifact(source, deps)).rejects.toEqual(code("ARTIFACT_INVALID"));
  });

  test("refuses a manifest that is not the digest's", async () => {
    const pinned = { ...source, reference: digestOf("other") };
    const deps = depsWith(() => Promise.resolve(new Response(manifestOf(layer("a")))));
    await expect(resolveArtifact(pinned, deps)).rejects.toEqual(code("ARTIFACT_INVALID"));
  });

  test.each([
    [401, "UNAUTHENTICATED"],
    [403, "FORBIDDEN"],
    [404, "ARTIFACT_NOT_FOUND"],
    [400, "ARTIFACT_INVALID"],
  ])("HTTP %d is %s at once", async (status, expected) => {
    const deps = depsWith(() => Promise.resolve(new Response("no", { status })));
    await expect(resolveArtifact(source, deps)).rejects.toEqual(code(expected));
    expect(deps.slept).toEqual([]);
  });

  test("a registry that is away is waited for, with growing pauses", async () => {
    let attempts = 0;
    const deps = depsWith(() => {
      attempts++;
      if (attempts === 1) return Promise.reject(new Error("ECONNREFUSED"));
      if (attempts < 4) return Promise.resolve(new Response("", { status: 503 }));
      return Promise.resolve(new Response(manifestOf(layer("a"))));
    });
    await resolveArtifact(source, deps);
    expect(deps.slept).toEqual([500, 1000, 2000]);
  });

  test("and given up after the patience", async () => {
    const deps = depsWith(() => Promise.reject(new Error("ECONNREFUSED")));
    await expect(resolveArtifact(source, deps)).rejects.toEqual(code("REGISTRY_UNREACHABLE"));
    const waited = deps.slept.reduce((sum, ms) => sum + ms, 0);
    expect(waited).toBeGreaterThan(14 * 60_000);
    expect(waited).toBeLessThanOrEqual(15 * 60_000);
  });

  test("the token stays with the registry when it redirects elsewhere", async () => {
    const seen: [string, string | null][] = [];
    const deps = depsWith((url, init) => {
      seen.push([url, new Headers(init?.headers).get("authorization")]);
      const next = ["/v2/other", "https://cdn.example/x", undefined][seen.length - 1];
      return Promise.resolve(
        next === undefined
          ? new Response(manifestOf(layer("a")))
          : new Response(null, { status: 307, headers: { location: next } }),
      );
    });
    await resolveArtifact(source, deps);
    expect(seen).toEqual([
      ["http://registry:5000/v2/os/debian/manifests/13", "Bearer secret"],
      ["http://registry:5000/v2/other", "Bearer secret"],
      ["https://cdn.example/x", null],
    ]);
  });
});

describe("a registry with bearer tokens", () => {
  const challenge = (realm: string) =>
    `Bearer realm="${realm}",service="reg",scope="repository:os/debian:pull"`;
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: { mediaType: "x/y", digest: digestOf("{}"), size: 2 },
    layers: [{ mediaType: "x/y", digest: digestOf("a"), size: 1 }],
  });

  function tokenRegistry(realm: string) {
    const seen: [string, string | null][] = [];
    const fetch: Fetch = (url, init) => {
      const authorization = new Headers(init?.headers).get("authorization");
      seen.push([url, authorization]);
      if (url.startsWith(realm)) return Promise.resolve(Response.json({ token: "t1" }));
      if (authorization === "Bearer t1") return Promise.resolve(new Response(manifest));
      const headers = { "www-authenticate": challenge(realm) };
      return Promise.resolve(new Response("", { status: 401, headers }));
    };
    return { fetch, seen };
  }
  const query = "?service=reg&scope=repository%3Aos%2Fdebian%3Apull";

  test("gives one to anybody, and our credentials go nowhere else", async () => {
    const { fetch, seen } = tokenRegistry("https://auth.example/token");
    await resolveArtifact({ ...source, authorization: "Basic eDp5" }, depsWith(fetch));
    expect(seen.slice(1)).toEqual([
      [`https://auth.example/token${query}`, null],
      ["http://registry:5000/v2/os/debian/manifests/13", "Bearer t1"],
    ]);
  });

  test("gives one for our credentials when it is its own realm", async () => {
    const { fetch, seen } = tokenRegistry("http://registry:5000/token");
    await resolveArtifact({ ...source, authorization: "Basic eDp5" }, depsWith(fetch));
    expect(seen[1]).toEqual([`http://registry:5000/token${query}`, "Basic eDp5"]);
  });

  test("is not asked in the clear for a registry with TLS", async () => {
    const { fetch, seen } = tokenRegistry("http://auth.example/token");
    const secure = { ...source, registry: "https://registry" };
    await expect(resolveArtifact(secure, depsWith(fetch))).rejects.toEqual(code("UNAUTHENTICATED"));
    expect(seen).toHaveLength(1);
  });
});

describe("openBlob", () => {
  const bytes = noise(10_000);
  const blob = { digest: digestOf(bytes), size: bytes.length };

  test("R39: a dropped connection is taken up where it broke", async () => {
    const { fetch, asked } = blobServer(bytes, () => 3000);
    const deps = depsWith(fetch);
    expect(await collect(openBlob(source, blob, deps))).toEqual(Buffer.from(bytes));
    expect(asked).toEqual([null, "bytes=3000-", "bytes=6000-", "bytes=9000-"]);
    expect(deps.slept).toEqual([500, 500, 500]);
  });

  test("also by a registry that has no ranges", async () => {
    const { fetch } = blobServer(bytes, (attempt) => (attempt === 1 ? 3500 : 20_000), false);
    expect(await collect(openBlob(source, blob, depsWith(fetch)))).toEqual(Buffer.from(bytes));
  });

  test("a stream that ends early without an error is a dropped connection", async () => {
    let attempts = 0;
    const deps = depsWith(() => {
      attempts++;
      return Promise.resolve(
        attempts === 1
          ? new Response(bytes.slice(0, 4000))
          : new Response(bytes.slice(4000), {
              status: 206,
              headers: { "content-range": "bytes 4000-9999/10000" },
            }),
      );
    });
    expect(await collect(openBlob(source, blob, deps))).toEqual(Buffer.from(bytes));
  });

  test("R39: other bytes are an error, however they come", async () => {
    const other = noise(10_000, 7);
    const wrong = depsWith(blobServer(other, () => 4000).fetch);
    await expect(collect(openBlob(source, blob, wrong))).rejects.toEqual(code("ARTIFACT_INVALID"));
    const long = depsWith(blobServer(noise(20_000), () => 20_000).fetch);
    await expect(collect(openBlob(source, blob, long))).rejects.toEqual(code("ARTIFACT_INVALID"));
  });

  test("a registry that never comes back is unreachable", async () => {
    const { fetch } = blobServer(bytes, (attempt) => (attempt === 1 ? 3000 : 0));
    const deps = depsWith(fetch, { patience: millis(60_000) });
    const reader = openBlob(source, blob, deps).getReader();
    let received = 0;
    const readAll = async () => {
      for (;;) received += (await reader.read()).value?.byteLength ?? 0;
    };
    await expect(readAll()).rejects.toEqual(code("REGISTRY_UNREACHABLE"));
    expect(received).toBe(3000);
  });

  test("R55: a silent connection is given up and taken up again", async () => {
    let attempts = 0;
    const fetch: Fetch = (_, init) => {
      attempts++;
      if (attempts > 1) {
        const headers = { "content-range": "bytes 5000-9999/10000" };
        return Promise.resolve(new Response(bytes.slice(5000), { status: 206, headers }));
      }
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(bytes.slice(0, 5000));
          init?.signal?.addEventListener("abort", () => controller.error(init.signal?.reason));
        },
      });
      return Promise.resolve(new Response(body));
    };
    const deps = { ...depsWith(fetch), now: Date.now, stallAfter: millis(40) };
    expect(await collect(openBlob(source, blob, deps))).toEqual(Buffer.from(bytes));
    expect(attempts).toBe(2);
  });

  test("a consumer that waits is waited for", async () => {
    const large = noise(1_000_000);
    let sent = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (sent >= large.length) controller.close();
          else controller.enqueue(large.slice(sent, sent + 10_000));
          sent += 10_000;
        },
      },
      { highWaterMark: 0 },
    );
    const deps = depsWith(() => Promise.resolve(new Response(body)));
    const reader = openBlob(
      source,
      { digest: digestOf(large), size: large.length },
      deps,
    ).getReader();
    await reader.read();
    await Bun.sleep(10);
    expect(sent).toBeLessThan(100_000);
    await reader.cancel();
  });

  test("an abort ends it, a cancel closes the connection", async () => {
    const abort = new AbortController();
    const { fetch } = blobServer(bytes, () => 20_000);
    const reader = openBlob(source, blob, depsWith(fetch), abort.signal).getReader();
    await reader.read();
    abort.abort(new Error("enough"));
    const readOn = async () => {
      while (!(await reader.read()).done);
    };
    await expect(readOn()).rejects.toThrow();

    let signal: AbortSignal | null | undefined;
    const watching: Fetch = (url, init) => {
      signal = init?.signal;
      return blobServer(bytes, () => 20_000).fetch(url, init);
    };
    const second = openBlob(source, blob, depsWith(watching)).getReader();
    await second.read();
    await second.cancel();
    expect(signal?.aborted).toBe(true);
  });

  test("R39: a connection that really breaks", async () => {
    await using served = await serveRegistry();
    const large = noise(4_000_000);
    await pushImage(served, "os/debian", "13", { layers: [large] });
    // Between the two stands something that cuts each connection after a megabyte.
    using proxy = Bun.listen<{ upstream: Bun.Socket | undefined; left: number; early: Buffer[] }>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        async open(client) {
          client.data = { upstream: undefined, left: 1_500_000, early: [] };
          const upstream = await Bun.connect({
            hostname: "127.0.0.1",
            port: served.port,
            socket: {
              data(_, chunk) {
                client.data.left -= client.write(chunk.subarray(0, client.data.left));
                if (client.data.left <= 0) client.terminate();
              },
              close: () => void client.end(),
            },
          });
          client.data.upstream = upstream;
          for (const chunk of client.data.early) upstream.write(chunk);
        },
        data(client, chunk) {
          if (client.data.upstream === undefined) client.data.early.push(Buffer.from(chunk));
          else client.data.upstream.write(chunk);
        },
        close: (client) => void client.data.upstream?.end(),
      },
    });
    const through = { ...source, registry: `http://127.0.0.1:${proxy.port}` };
    const deps = { ...real, sleep: () => Promise.resolve(), stallAfter: millis(500) };
    const { layer } = await resolveArtifact({ ...through, registry: served.url }, real);
    expect(digestOf(await collect(openBlob(through, layer, deps)))).toBe(layer.digest);
  });

  test("an empty blob", async () => {
    const empty = { digest: digestOf(text("")), size: 0 };
    const deps = depsWith(() => Promise.resolve(new Response("")));
    expect(await collect(openBlob(source, empty, deps))).toHaveLength(0);
  });
});
