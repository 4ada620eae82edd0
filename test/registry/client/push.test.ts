// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { silentLog } from "../../../src/base/deps.ts";
import { bytes as byteCount } from "../../../src/base/units.ts";
import { findUnxz } from "../../../src/cli/xz.ts";
import { describeArtifact } from "../../../src/registry/client/describe.ts";
import { type FileToPush, type PushFileDeps, pushFile } from "../../../src/registry/client/push.ts";
import { digestOf } from "../../../src/registry/digest.ts";
import { noise, pushImage, type Served, serveRegistry, text } from "../served.ts";
import { cuttingProxy } from "./cutting-proxy.ts";

let work: string;
let served: Served;
let tar: Uint8Array;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "prov-push-"));
  served = await serveRegistry();
  await Bun.write(join(work, "noise"), noise(900_000));
  await Bun.write(join(work, "words"), "words\n".repeat(300_000));
  const script =
    "tar --create --file=root.tar noise words; gzip --keep root.tar; xz --keep root.tar; zstd --quiet root.tar; cp root.tar.gz root.tgz";
  const child = Bun.spawn(["sh", "-euc", script], { cwd: work });
  expect(await child.exited).toBe(0);
  tar = await Bun.file(join(work, "root.tar")).bytes();
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await rm(work, { recursive: true, force: true });
});

const deps: PushFileDeps = {
  fetch,
  sleep: () => Promise.resolve(),
  now: Date.now,
  log: silentLog,
  signal: new AbortController().signal,
  unxz: findUnxz(process.env.PATH),
  onProgress: () => {},
};

const target = (registry = served.url) => ({
  registry,
  repository: "os/debian",
  tag: "13",
  authorization: null,
  ca: null,
});

const push = (file: FileToPush, more: Partial<PushFileDeps> = {}, registry?: string) =>
  pushFile(target(registry), { ...file, path: join(work, file.path) }, { ...deps, ...more });

async function blob(digest: string): Promise<Uint8Array> {
  return await (await served.ask("GET", `os/debian/blobs/${digest}`)).bytes();
}

test("an artifact says what it is and what its file was called", async () => {
  const pushed = await push({ path: "root.tar.zst" });
  expect(pushed.artifactType).toBe("application/vnd.prov.rootfs.v1");
  const manifest = await served.ask("GET", "os/debian/manifests/13");
  expect(manifest.headers.get("docker-content-digest")).toBe(pushed.digest);
  expect(await manifest.json()).toEqual({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: "application/vnd.prov.rootfs.v1",
    config: {
      mediaType: "application/vnd.oci.empty.v1+json",
      digest: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
      size: 2,
    },
    layers: [
      {
        mediaType: "application/vnd.oci.image.layer.v1.tar+zstd",
        digest: pushed.layer.digest,
        size: Bun.file(join(work, "root.tar.zst")).size,
        annotations: { "org.opencontainers.image.title": "root.tar.zst" },
      },
    ],
  });
  // The same again is the same.
  expect((await push({ path: "root.tar.zst" })).digest).toBe(pushed.digest);
  const other = await push({ path: "root.tar.zst", artifactType: "application/x-firmware" });
  expect(other.artifactType).toBe("application/x-firmware");
});

describe("with zstd on the way", () => {
  test.each(["root.tar", "root.tar.gz", "root.tgz", "root.tar.xz"])("from %s", async (path) => {
    const phases = new Set<string>();
    const { size } = Bun.file(join(work, path));
    let last = 0;
    const onProgress: PushFileDeps["onProgress"] = (phase, done, total) => {
      phases.add(phase);
      expect(total).toBe(size);
      last = done;
    };
    const { layer, artifactType } = await push({ path, zstdLevel: 3 }, { onProgress });
    expect(artifactType).toBe("application/vnd.prov.rootfs.v1");
    expect(layer.mediaType).toBe("application/vnd.oci.image.layer.v1.tar+zstd");
    expect(layer.title).toBe("root.tar.zst");
    expect([...phases]).toEqual(["compressing"]);
    expect(last).toBe(size);
    const stored = await blob(layer.digest);
    expect(digestOf(stored)).toBe(layer.digest);
    expect(digestOf(zstdDecompressSync(stored))).toBe(digestOf(tar));
  });

  test("a connection that breaks", async () => {
    await using proxy = await cuttingProxy(served.port, () => ({ up: 300_000 }));
    const more = { chunkSize: byteCount(200_000) };
    const { layer } = await push({ path: "root.tar.gz", zstdLevel: 1 }, more, proxy.url);
    expect(digestOf(zstdDecompressSync(await blob(layer.digest)))).toBe(digestOf(tar));
    expect(proxy.connections).toBeGreaterThan(3);
  });

  test("what is zstd already goes as it is", async () => {
    const asItIs = await push({ path: "root.tar.zst" });
    expect(await push({ path: "root.tar.zst", zstdLevel: 19 })).toEqual(asItIs);
  });

  test("what is no tar is refused", async () => {
    const pushed = push({ path: "words", zstdLevel: 3 });
    await expect(pushed).rejects.toMatchObject({
      code: "USAGE",
      message: expect.stringMatching(/it is not a tar$/),
    });
  });

  test("a file that is damaged, at once", async () => {
    for (const name of ["root.tar.gz", "root.tar.xz"]) {
      const bytes = await Bun.file(join(work, name)).bytes();
      await Bun.write(join(work, `cut-${name}`), bytes.slice(0, bytes.length >> 1));
      const pushed = push({ path: `cut-${name}`, zstdLevel: 3 });
      await expect(pushed).rejects.toMatchObject({ name: "ProvError" });
    }
  });

  test("xz where there is no xz", async () => {
    const pushed = push({ path: "root.tar.xz", zstdLevel: 3 }, { unxz: undefined });
    await expect(pushed).rejects.toMatchObject({
      code: "COMMAND_FAILED",
      hint: "Install xz-utils, or push the file as it is.",
    });
  });
});

test.each([
  ["while it is hashed", "hashing"],
  ["while it is sent", "sending"],
] as const)("a file that changes %s is not pushed", async (_when, phase) => {
  const path = join(work, `log-${phase}`);
  await Bun.write(path, noise(2_000_000, 5));
  let changed: Promise<void> | undefined;
  const onProgress = (now: string) => {
    if (now === phase) changed ??= appendFile(path, "one more line");
  };
  const pushed = pushFile({ ...target(), tag: "log" }, { path }, { ...deps, onProgress });
  await expect(pushed).rejects.toMatchObject({
    code: "CONFLICT",
    message: expect.stringMatching(/it changed while/),
  });
  await changed;
  expect((await served.ask("GET", "os/debian/manifests/log")).status).toBe(404);
});

test("a directory is no file", async () => {
  await mkdir(join(work, "folder"));
  await expect(push({ path: "folder" })).rejects.toMatchObject({
    code: "USAGE",
    message: expect.stringMatching(/it is not a regular file$/),
  });
  await expect(push({ path: "nowhere" })).rejects.toMatchObject({ code: "ENOENT" });
});

describe("describeArtifact", () => {
  const { tag: _, ...source } = { ...target("http://registry"), repository: "os/shown" };

  test("tells tags, layers and referrers, over several pages", async () => {
    const here = { ...source, registry: served.url };
    const { digest } = await pushImage(served, "os/shown", "13", {
      layers: [noise(1000)],
      titles: ["root.tar"],
      artifactType: "application/vnd.prov.rootfs.v1",
    });
    await pushImage(served, "os/shown", "stable", {
      layers: [noise(1000)],
      titles: ["root.tar"],
      artifactType: "application/vnd.prov.rootfs.v1",
    });
    await pushImage(served, "os/shown", "other", { layers: [text("other")] });
    const sbom = await pushImage(served, "os/shown", "sbom", {
      subject: digest,
      artifactType: "x/sbom",
    });
    // Two tags a page, as a registry may do it on its own.
    const paged: PushFileDeps["fetch"] = (url, init) =>
      fetch(url.endsWith("/tags/list") ? `${url}?n=2` : url, init);
    const found = await describeArtifact(here, "13", { ...deps, fetch: paged });
    expect(found).toMatchObject({
      digest,
      artifactType: "application/vnd.prov.rootfs.v1",
      layers: [{ size: 1000, annotations: { "org.opencontainers.image.title": "root.tar" } }],
      tags: ["13", "stable"],
      referrers: [{ digest: sbom.digest, artifactType: "x/sbom" }],
    });
    expect((await describeArtifact(here, digest, deps)).tags).toEqual(["13", "stable"]);
    await expect(describeArtifact(here, "none", deps)).rejects.toMatchObject({
      code: "ARTIFACT_NOT_FOUND",
    });
  });

  test("of a registry without referrers, by their tag", async () => {
    const here = { ...source, registry: served.url, repository: "os/old" };
    const { digest } = await pushImage(served, "os/old", "1");
    const child = { mediaType: "x/y", digest: digestOf("a"), size: 7, artifactType: "x/sig" };
    const none: PushFileDeps["fetch"] = (url, init) => {
      if (url.includes("/referrers/")) return Promise.resolve(new Response("", { status: 404 }));
      if (url.endsWith(`/manifests/${digest.replace(":", "-")}`)) {
        return Promise.resolve(Response.json({ schemaVersion: 2, manifests: [child] }));
      }
      return fetch(url, init);
    };
    const { referrers } = await describeArtifact(here, "1", { ...deps, fetch: none });
    expect(referrers).toEqual([{ digest: child.digest, artifactType: "x/sig", size: 7 }]);
  });
});
