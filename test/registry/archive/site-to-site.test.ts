// SPDX-License-Identifier: AGPL-3.0-or-later
/** From one registry through an archive into another, both real. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Fetch, realSleep, silentLog } from "../../../src/base/deps.ts";
import { millis } from "../../../src/base/units.ts";
import { openArchive } from "../../../src/registry/archive/archive-file.ts";
import { nameOfArtifact } from "../../../src/registry/archive/archive-index.ts";
import { parseInto } from "../../../src/registry/archive/archive-names.ts";
import { planArchive } from "../../../src/registry/archive/archive-plan.ts";
import { type Collection, collect } from "../../../src/registry/archive/collect.ts";
import { executeImport, onlyLooking } from "../../../src/registry/archive/import-archive.ts";
import { signIndex } from "../../../src/registry/archive/index-signature.ts";
import { type ImportOptions, prepareImport } from "../../../src/registry/archive/prepare-import.ts";
import { exportSource, importTarget } from "../../../src/registry/archive/registry-doors.ts";
import { writeArchive } from "../../../src/registry/archive/write-archive.ts";
import type { UploadMemory } from "../../../src/registry/client/push-blob.ts";
import { type Digest, digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { parsePrivateKey } from "../../../src/registry/signatures/private-key.ts";
import { parsePublicKey } from "../../../src/registry/signatures/public-key.ts";
import { noise, pushBlob, pushImage, type Served, serveRegistry, text } from "../served.ts";

const large = noise(3 * 1024 * 1024, 5);
const keys = () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const signer = parsePrivateKey(pem, null, "the key");
  const publicPem = publicKey.export({ type: "spki", format: "pem" }).toString();
  return { signer, publicKey: parsePublicKey(publicPem) };
};
const { signer, publicKey } = keys();

let work: string;
let a: Served;
let digests: Record<"app" | "arm" | "amd" | "list" | "sbom" | "signature", Digest>;
/** Of everything in site A. */
let archive: string;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "prov-sites-"));
  a = await serveRegistry();
  const app = await pushImage(a, "os/debian", "13", { layers: [large, text("small")] });
  const arm = await pushImage(a, "os/multi", digestOf(manifestOf("arm")), {
    layers: [text("arm")],
  });
  const amd = await pushImage(a, "os/multi", digestOf(manifestOf("amd")), {
    layers: [text("amd")],
  });
  const list = await pushIndex("os/multi", "1", [arm.digest, amd.digest, digestOf("elsewhere")]);
  const sbom = await pushReferrer("os/multi", arm.digest, "sbom");
  const signature = await pushReferrer("os/multi", sbom, "signature");
  // As cosign does where there are no referrers.
  const legacy = `${app.digest.replace(":", "-")}.sig`;
  await pushImage(a, "os/debian", legacy, { layers: [text("cosign")] });
  digests = {
    ...{ app: app.digest, arm: arm.digest, amd: amd.digest, list },
    ...{ sbom, signature },
  };
  archive = join(work, "all.tar");
  await exportAll(archive);
});

afterAll(async () => {
  await a[Symbol.asyncDispose]();
  await rm(work, { recursive: true });
});

/** What {@link pushImage} makes of one small layer. */
function manifestOf(layer: string): string {
  const layers = [
    {
      ...{ mediaType: "application/vnd.oci.image.layer.v1.tar", digest: digestOf(layer) },
      size: layer.length,
    },
  ];
  const config = {
    ...{ mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}") },
    size: 2,
  };
  return JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.image, config, layers });
}

async function pushReferrer(repository: string, subject: Digest, what: string): Promise<Digest> {
  const reference = `to-be-untagged-${what}`;
  const options = { subject, artifactType: `test/${what}`, layers: [text(what)] };
  const { digest } = await pushImage(a, repository, reference, options);
  await a.ask("DELETE", `${repository}/manifests/${reference}`);
  return digest;
}

async function pushIndex(repository: string, tag: string, children: Digest[]): Promise<Digest> {
  const manifests = children.map((digest) => ({ mediaType: MEDIA_TYPE.image, digest, size: 1 }));
  const sized = await Promise.all(
    manifests.map(async (each) => {
      const path = `${repository}/manifests/${each.digest}`;
      const { headers } = await a.ask("HEAD", path);
      return { ...each, size: Number(headers.get("content-length") ?? 1) };
    }),
  );
  const body = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests: sized });
  const headers = { "content-type": MEDIA_TYPE.index };
  const response = await a.ask("PUT", `${repository}/manifests/${tag}`, { body, headers });
  expect(response.status).toBe(201);
  return digestOf(body);
}

const deps = (fetchWith: Fetch = fetch) => ({
  ...{ fetch: fetchWith, sleep: realSleep, now: Date.now, log: silentLog, patience: millis(1) },
});
const siteOf = ({ url }: Served) => ({ registry: url, authorization: null, ca: null });

const everything = [
  { repository: "os/debian", reference: "13" },
  { repository: "os/multi", reference: "1" },
];

const collectAll = (withReferrers = true): Promise<Collection> =>
  collect(everything, exportSource(siteOf(a), deps()), withReferrers);

async function exportAll(path: string, fetchWith: Fetch = fetch): Promise<number> {
  const plan = planArchive(await collectAll(), (index) => signIndex(index, signer));
  const { fetchBlob } = exportSource(siteOf(a), deps(fetchWith));
  return (await writeArchive(plan, path, { fetchBlob, onProgress() {} })).resumedAt;
}

async function importInto(
  site: Served,
  path: string,
  options: Partial<ImportOptions> & {
    fetchWith?: Fetch;
    isDry?: boolean;
    memory?: UploadMemory;
  } = {},
) {
  const { fetchWith, isDry, memory, ...rest } = options;
  const opened = await openArchive(path);
  const prepared = await prepareImport(opened, { key: null, into: null, only: null, ...rest });
  const target = importTarget(siteOf(site), { ...deps(fetchWith), ...(memory && { memory }) });
  const imported = await executeImport(
    prepared.steps,
    opened,
    isDry === true ? onlyLooking(target) : target,
    { onProgress() {} },
  );
  return { ...prepared, imported };
}

async function manifestIn(site: Served, path: string): Promise<string | undefined> {
  const response = await site.ask("GET", path);
  return response.ok ? digestOf(await response.bytes()) : undefined;
}

async function expectEverything(site: Served): Promise<void> {
  expect(await manifestIn(site, "os/debian/manifests/13")).toBe(digests.app);
  expect(await manifestIn(site, "os/multi/manifests/1")).toBe(digests.list);
  for (const digest of [digests.arm, digests.amd, digests.sbom, digests.signature]) {
    expect(await manifestIn(site, `os/multi/manifests/${digest}`)).toBe(digest);
  }
  const response = await site.ask("GET", `os/debian/blobs/${digestOf(large)}`);
  expect(digestOf(await response.bytes())).toBe(digestOf(large));
  const referrers = await site.ask("GET", `os/multi/referrers/${digests.arm}`);
  expect(await referrers.json()).toMatchObject({ manifests: [{ digest: digests.sbom }] });
}

test("R48: tags, children, referrers of referrers and cosign's tags cross the gap", async () => {
  await using b = await serveRegistry();
  const { artifacts, imported, absent } = await importInto(b, archive, { key: publicKey });
  await expectEverything(b);
  expect(artifacts.map(nameOfArtifact)).toEqual([
    "os/debian:13",
    `os/debian:${digests.app.replace(":", "-")}.sig`,
    "os/multi:1",
    ...[digests.sbom, digests.signature].map((digest) => `os/multi@${digest}`).sort(),
  ]);
  expect(absent).toEqual([digestOf("elsewhere")]);
  // The empty config is in both repositories: the second gets it by a mount.
  expect(imported).toEqual({
    ...{ blobsSent: 8, bytesSent: large.length + 2 + 5 + 6 + 3 + 3 + 4 + 9, blobsPresent: 1 },
    ...{ manifestsSent: 7, tagsSet: 3, tagsMoved: 0 },
  });
});

test("the same artifacts give the same bytes, however often they are exported", async () => {
  const again = join(work, "again.tar");
  await exportAll(again);
  const [one, two] = await Promise.all([archive, again].map((path) => Bun.file(path).bytes()));
  expect(Buffer.compare(one ?? text("1"), two ?? text("2"))).toBe(0);
});

test("without referrers nothing but what was named comes along", async () => {
  const { artifacts } = await collectAll(false);
  expect(artifacts.map(nameOfArtifact).sort()).toEqual(["os/debian:13", "os/multi:1"]);
});

test("an import that is there already sends nothing, and a tag that moved is told", async () => {
  await using b = await serveRegistry();
  await pushImage(b, "os/debian", "13", { layers: [text("older")] });
  expect((await importInto(b, archive)).imported).toMatchObject({ tagsSet: 3, tagsMoved: 1 });
  expect((await importInto(b, archive)).imported).toEqual({
    ...{ blobsSent: 0, bytesSent: 0, blobsPresent: 9, manifestsSent: 0, tagsSet: 0, tagsMoved: 0 },
  });
});

test("a dry run tells the same and changes nothing", async () => {
  await using b = await serveRegistry();
  const dry = await importInto(b, archive, { isDry: true });
  expect(await b.registry.repositories()).toEqual([]);
  const { imported } = await importInto(b, archive);
  expect(dry.imported).toEqual(imported);
});

test("--into and --only decide where to and what", async () => {
  await using b = await serveRegistry();
  await importInto(b, archive, { into: parseInto("mirror"), only: "os/multi" });
  expect(await b.registry.repositories()).toEqual(["mirror/os/multi"]);
  expect(await manifestIn(b, `mirror/os/multi/manifests/${digests.signature}`)).toBeDefined();
  const none = importInto(b, archive, { only: "none/**" });
  await expect(none).rejects.toThrow(`Cannot import "none/**" from ${archive}: it has no such`);
});

/** Breaks off every answer to a GET of the large blob after so many bytes, until `heal` is called. */
function breaking(after: number): { fetch: Fetch; heal(): void; readonly ranges: string[] } {
  let isBroken = true;
  const ranges: string[] = [];
  return {
    ranges,
    heal() {
      isBroken = false;
    },
    async fetch(url, init) {
      const isLarge = url.endsWith(`/blobs/${digestOf(large)}`) && init?.method !== "HEAD";
      if (!isLarge) return await fetch(url, init);
      const range = new Headers(init?.headers).get("range");
      if (range !== null) ranges.push(range);
      if (isBroken && range !== null) throw new Error("connection refused");
      const response = await fetch(url, init);
      if (!isBroken) return response;
      const bytes = await response.bytes();
      return new Response(bytes.subarray(0, after), response);
    },
  };
}

test("R49: an export whose registry went away goes on in the middle of the blob", async () => {
  const path = join(work, "broken.tar");
  const line = breaking(2_000_000);
  await expect(exportAll(path, line.fetch)).rejects.toMatchObject({ code: "REGISTRY_UNREACHABLE" });
  expect(await Bun.file(path).exists()).toBe(false);
  line.ranges.length = 0;
  line.heal();
  expect(await exportAll(path, line.fetch)).toBeGreaterThan(2_000_000);
  expect(line.ranges).toEqual(["bytes=2000000-"]);
  const [one, two] = await Promise.all([archive, path].map((each) => Bun.file(each).bytes()));
  expect(Buffer.compare(one ?? text("1"), two ?? text("2"))).toBe(0);
});

test("R49: an import whose registry went away is started again, and sends the rest", async () => {
  await using b = await serveRegistry();
  let blobs = 0;
  const failing: Fetch = (url, init) => {
    if (init?.method === "PUT" && url.includes("/blobs/uploads/")) blobs++;
    if (blobs > 3) return Promise.reject(new Error("connection refused"));
    return fetch(url, init);
  };
  const begun = new Map<string, string>();
  const memory: UploadMemory = {
    async take(key) {
      const found = begun.get(key);
      await memory.forget(key);
      return found;
    },
    keep: (key, location) => Promise.resolve(void begun.set(key, location)),
    forget: (key) => Promise.resolve(void begun.delete(key)),
  };
  const first = importInto(b, archive, { fetchWith: failing, memory });
  await expect(first).rejects.toMatchObject({ code: "REGISTRY_UNREACHABLE" });
  expect(await b.registry.tags("os/debian")).toEqual([]);
  // The upload that broke is remembered, and gone on with.
  expect(begun.size).toBe(1);
  const { imported } = await importInto(b, archive, { memory });
  expect(begun.size).toBe(0);
  expect(imported).toMatchObject({ blobsSent: 8 - 3, tagsSet: 3 });
  await expectEverything(b);
});

/** A copy of the archive with some of its bytes changed. */
async function changed(change: (bytes: Buffer) => Buffer | undefined): Promise<string> {
  const path = join(work, `${crypto.randomUUID()}.tar`);
  const bytes = Buffer.from(await Bun.file(archive).bytes());
  await Bun.write(path, change(bytes) ?? bytes);
  return path;
}

const replace = (find: string, by: string) => (bytes: Buffer) => {
  const at = bytes.indexOf(find);
  expect(at).toBeGreaterThan(0);
  bytes.write(by, at);
  return bytes;
};

test("R48: with --verify-key nothing is sent of an archive that is not what was signed", async () => {
  await using b = await serveRegistry();
  const other = keys().publicKey;
  const refused: readonly (readonly [Promise<string>, typeof publicKey, string])[] = [
    [Promise.resolve(archive), other, "it is signed by the key sha256:"],
    [
      changed(replace("os/debian:13", "os/debian:66")),
      publicKey,
      "its index is not what was signed",
    ],
    [changed(replace('{"keyId"', '{"kexId"')), publicKey, "its index.json.sig is not valid"],
    [exportUnsigned(), publicKey, "it is not signed"],
  ];
  for (const [path, key, message] of refused) {
    await expect(importInto(b, await path, { key })).rejects.toThrow(message);
  }
  expect(await b.registry.repositories()).toEqual([]);
});

async function exportUnsigned(): Promise<string> {
  const path = join(work, "unsigned.tar");
  const { fetchBlob } = exportSource(siteOf(a), deps());
  await writeArchive(planArchive(await collectAll(), null), path, { fetchBlob, onProgress() {} });
  return path;
}

test("a damaged manifest is found before anything is sent, a damaged blob by the registry", async () => {
  await using b = await serveRegistry();
  const manifest = changed(
    replace(
      '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest',
      '{"schemaVersion":3',
    ),
  );
  await expect(importInto(b, await manifest)).rejects.toThrow(
    /its entry blobs\/sha256\/[0-9a-f]{64} at offset \d+ is not what its name says$/,
  );
  expect(await b.registry.repositories()).toEqual([]);
  const blob = await changed((bytes) => {
    const at = bytes.indexOf(large.subarray(1000, 1100));
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    return bytes;
  });
  const entry = `its entry blobs/${digestOf(large).replace(":", "/")} at offset`;
  await expect(importInto(b, blob)).rejects.toThrow(entry);
  expect(await b.registry.tags("os/debian")).toEqual([]);
});

test("an archive that is cut off or lacks a blob is refused before anything is sent", async () => {
  await using b = await serveRegistry();
  const cut = await changed((bytes) => bytes.subarray(0, bytes.length - 600_000));
  await expect(importInto(b, cut)).rejects.toThrow(
    /^Cannot use the archive .*: the entry at offset/,
  );
  const hex = digestOf(large).slice("sha256:".length);
  const gone = await renamed(hex, "f".repeat(64));
  await expect(importInto(b, gone)).rejects.toThrow(
    `it has no blobs/sha256/${hex}, and neither has`,
  );
  expect(await b.registry.repositories()).toEqual([]);
});

/** Gives an entry another name: what it names is then not there. */
async function renamed(from: string, to: string): Promise<string> {
  const directory = join(work, crypto.randomUUID());
  await mkdir(directory);
  await run("tar", "-xf", archive, "-C", directory);
  await run("mv", join(directory, "blobs/sha256", from), join(directory, "blobs/sha256", to));
  await run("tar", "-cf", `${directory}.tar`, "-C", directory, ".");
  return `${directory}.tar`;
}

async function run(...argv: readonly string[]): Promise<void> {
  const child = Bun.spawn([...argv], { stdout: "ignore", stderr: "pipe" });
  const error = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(`${argv.join(" ")}: ${error}`);
}

test("the directory of a layout is imported as an archive is, prov's own too", async () => {
  await using b = await serveRegistry();
  const directory = join(work, "layout");
  await mkdir(directory);
  await run("tar", "-xf", archive, "-C", directory);
  await importInto(b, directory, { key: publicKey });
  await expectEverything(b);
  // A repository on prov's own disk, whose tags have no repository before them.
  const own = join(b.root, "repos/os/multi");
  while (!(await Bun.file(join(own, "index.json")).exists())) await Bun.sleep(20);
  await cp(own, join(work, "own"), { recursive: true });
  await using c = await serveRegistry();
  await expect(importInto(c, join(work, "own"))).rejects.toThrow("names no repository");
  await importInto(c, join(work, "own"), { into: parseInto("os/multi") });
  expect(await manifestIn(c, "os/multi/manifests/1")).toBe(digests.list);
  expect(await manifestIn(c, `os/multi/manifests/${digests.signature}`)).toBe(digests.signature);
});

test("what is no archive of artifacts is refused with what to do", async () => {
  const path = join(work, "other");
  await Bun.write(path, "just text");
  await expect(openArchive(path)).rejects.toThrow("it is no tar archive");
  await Bun.write(path, Bun.gzipSync(await Bun.file(archive).bytes()));
  await expect(openArchive(path)).rejects.toMatchObject({
    hint: expect.stringContaining("gunzip"),
  });
  const directory = join(work, "docker");
  await mkdir(directory);
  await Bun.write(join(directory, "manifest.json"), "[]");
  await run("ln", "-s", "manifest.json", join(directory, "layer.tar"));
  await run("tar", "-cf", path, "-C", directory, ".");
  await expect(openArchive(path)).rejects.toMatchObject({
    message: expect.stringContaining("docker save"),
    hint: expect.stringContaining("skopeo copy docker-archive:"),
  });
  await Bun.write(join(directory, "oci-layout"), "{}");
  await run("tar", "-cf", path, "-C", directory, ".");
  await expect(openArchive(path)).rejects.toThrow(
    /its entry "layer.tar" at offset \d+ is a symbolic link/,
  );
  await run("tar", "-cf", path, "-C", directory, "manifest.json", "manifest.json");
  await expect(openArchive(path)).rejects.toThrow('it has two entries "manifest.json"');
});

test("a gigantic index, a nest of indexes and a blob that is longer are refused", async () => {
  const directory = join(work, "hostile");
  await mkdir(join(directory, "blobs/sha256"), { recursive: true });
  await Bun.write(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  await Bun.write(join(directory, "index.json"), "");
  await run("truncate", "-s", "3G", join(directory, "index.json"));
  const options = { key: null, into: null, only: null };
  const prepare = async () => await prepareImport(await openArchive(directory), options);
  await expect(prepare()).rejects.toThrow("its index.json has 3 GiB, and 32 MiB are the most");

  let below = "{}";
  const child = (size = below.length) => ({
    ...{ mediaType: MEDIA_TYPE.index, digest: digestOf(below), size },
    annotations: { "org.opencontainers.image.ref.name": "a/b:1" },
  });
  const index = (size?: number) =>
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests: [child(size)] });
  for (let i = 0; i < 20; i++) {
    below = i === 0 ? manifestOf("none") : index();
    await Bun.write(join(directory, "blobs", digestOf(below).replace(":", "/")), below);
  }
  await Bun.write(join(directory, "index.json"), index());
  await expect(prepare()).rejects.toThrow("its indexes are nested too deep");
  await Bun.write(join(directory, "index.json"), index(below.length + 1));
  await expect(prepare()).rejects.toThrow(`has ${below.length} bytes, not ${below.length + 1}`);
  await Bun.write(join(directory, "oci-layout"), '{"imageLayoutVersion":"2.0.0"}');
  await expect(prepare()).rejects.toThrow('its layout has version "2.0.0"');
});

test("sha512 and layers that live elsewhere cross the gap too", async () => {
  await using site = await serveRegistry();
  await using b = await serveRegistry();
  const content = text("wide");
  const wide = digestOf(content, "sha512");
  const pushed = await site.ask("POST", `wide/blobs/uploads/?digest=${wide}`, { body: content });
  expect(pushed.status).toBe(201);
  const config = await pushBlob(site, "wide", text("{}"));
  const foreign = { mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar", size: 9 };
  const kept = await pushBlob(site, "wide", text("here also"));
  const body = JSON.stringify({
    ...{ schemaVersion: 2, mediaType: MEDIA_TYPE.image },
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: config, size: 2 },
    layers: [
      { mediaType: "application/vnd.oci.image.layer.v1.tar", digest: wide, size: content.length },
      { ...foreign, digest: digestOf("elsewhere") },
      { ...foreign, digest: kept },
    ],
  });
  const digest = digestOf(body, "sha512");
  const headers = { "content-type": MEDIA_TYPE.image };
  await site.ask("PUT", `wide/manifests/${digest}`, { body, headers });
  const source = exportSource(siteOf(site), deps());
  const found = await collect([{ repository: "wide", reference: digest }], source, true);
  const path = join(work, "wide.tar");
  await writeArchive(planArchive(found, null), path, { ...source, onProgress() {} });
  await importInto(b, path);
  expect((await b.ask("GET", `wide/manifests/${digest}`)).status).toBe(200);
  expect(await (await b.ask("GET", `wide/blobs/${wide}`)).text()).toBe("wide");
  expect(await (await b.ask("GET", `wide/blobs/${kept}`)).text()).toBe("here also");
});

test("what is not in the registry cannot be exported", async () => {
  const source = exportSource(siteOf(a), deps());
  for (const repository of ["os/debian", "none"]) {
    const collecting = collect([{ repository, reference: "14" }], source, true);
    await expect(collecting).rejects.toThrow(`Cannot export ${repository}:14: it is not there`);
  }
});
