// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { millis } from "../../../src/base/units.ts";
import { type Digest, digestOf, hexOf } from "../../../src/registry/digest.ts";
import type { InUse } from "../../../src/registry/housekeeping/collect.ts";
import type { GcPhase, GcReport } from "../../../src/registry/housekeeping/report.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { type Disk, realDisk } from "../../../src/registry/storage/disk.ts";
import { filesBelow } from "../files-below.ts";
import { pushBlob, pushImage, type Served, serveRegistry, text } from "../served.ts";

const HOUR = 3600_000;
const DAY = 24 * HOUR;

interface Kept extends Served {
  wait(ms: number): void;
  collect(options?: CollectArgs): Promise<GcReport>;
}

interface CollectArgs {
  /** ms */
  readonly grace?: number;
  readonly dryRun?: boolean;
  readonly inUse?: InUse;
}

const NOTHING: InUse = new Map();

/** As a policy's document says it. */
interface KeepDocument {
  readonly last?: number;
  readonly days?: number;
  readonly tags?: readonly string[];
  readonly untagged_days?: number;
}

/** On a clock that can be put forward: files have the real one, so that it never goes back. */
async function serveKept(keep: KeepDocument | null, immutableTags: string[] = []): Promise<Kept> {
  let ahead = 0;
  const served = await serveRegistry({ now: () => Date.now() + ahead });
  const rule = { repositories: "**", immutable_tags: immutableTags, ...(keep && { keep }) };
  expect(await served.registry.setPolicy({ rules: [rule] }, null)).toMatchObject({ kind: "set" });
  return Object.assign(served, {
    wait: (ms: number) => {
      ahead += ms;
    },
    collect: ({ grace = DAY, dryRun = false, inUse = NOTHING }: CollectArgs = {}) =>
      served.registry.housekeeping.collect({
        dryRun,
        grace: millis(grace),
        inUse: () => Promise.resolve(inUse),
      }),
  });
}

const counts = ({ phases }: Pick<GcReport, "phases">): Partial<Record<GcPhase, number>> =>
  Object.fromEntries(
    Object.entries(phases).flatMap(([phase, { count }]) => (count > 0 ? [[phase, count]] : [])),
  );

async function tagsOf(served: Served, repository: string): Promise<string[]> {
  const response = await served.ask("GET", `${repository}/tags/list`);
  return response.ok ? ((await response.json()) as { tags: string[] }).tags : [];
}

const statusOf = async (served: Served, path: string): Promise<number> =>
  (await served.ask("HEAD", path)).status;

async function pushIndex(served: Served, reference: string, children: Digest[]): Promise<Digest> {
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.index,
    manifests: children.map((digest) => ({ mediaType: MEDIA_TYPE.image, digest, size: 1 })),
  });
  const reply = await served.ask("PUT", `a/manifests/${reference}`, {
    body: index,
    headers: { "content-type": MEDIA_TYPE.index },
  });
  expect(reply.status).toBe(201);
  return digestOf(index);
}

async function pushUntagged(served: Served, layer: string, subject?: Digest): Promise<Digest> {
  const { digest } = await pushImage(served, "a", "moving", {
    layers: [text(layer)],
    ...(subject && { subject }),
  });
  expect((await served.ask("DELETE", "a/manifests/moving")).status).toBe(202);
  return digest;
}

describe("R50: garbage collection", () => {
  test("takes blobs that no manifest names, when nobody has asked for them within the grace period", async () => {
    await using served = await serveKept(null);
    await pushImage(served, "a", "v1", { layers: [text("used")] });
    const unused = await pushBlob(served, "a", text("unused"));
    const asked = await pushBlob(served, "a", text("asked for"));
    served.wait(23 * HOUR);
    expect(counts(await served.collect())).toEqual({});
    expect(await statusOf(served, `a/blobs/${asked}`)).toBe(200);
    served.wait(2 * HOUR);
    const report = await served.collect();
    expect(counts(report)).toEqual({ blobs: 1 });
    expect(report.removed).toEqual([
      { phase: "blobs", repository: "a", name: unused, bytes: "unused".length },
    ]);
    expect(await statusOf(served, `a/blobs/${unused}`)).toBe(404);
    expect(await statusOf(served, `a/blobs/${asked}`)).toBe(200);
    expect(await filesBelow(served.root)).not.toContainEqual(
      expect.stringContaining(hexOf(unused)),
    );
  });

  test("leaves content that another repository still has, also of nested ones", async () => {
    await using served = await serveKept(null);
    for (const name of ["a", "a/b", "a/blobs"]) await pushImage(served, name, "v1");
    const shared = await pushBlob(served, "a", text("shared"));
    await pushBlob(served, "a/b", text("shared"));
    await pushImage(served, "a/b", "v2", { layers: [text("shared")] });
    expect(counts(await served.collect({ grace: 0 }))).toEqual({ blobs: 1 });
    expect(await statusOf(served, `a/blobs/${shared}`)).toBe(404);
    expect(await (await served.ask("GET", `a/b/blobs/${shared}`)).text()).toBe("shared");
    expect(await tagsOf(served, "a/blobs")).toEqual(["v1"]);
  });

  test("without a rule every manifest stays, with all it names", async () => {
    await using served = await serveKept(null);
    const untagged = await pushUntagged(served, "pinned by somebody");
    served.wait(1000 * DAY);
    expect(counts(await served.collect())).toEqual({});
    expect(await statusOf(served, `a/manifests/${untagged}`)).toBe(200);
    expect(await statusOf(served, `a/blobs/${digestOf("pinned by somebody")}`)).toBe(200);
  });

  test("with a rule untagged manifests go after their days, counted from the loss of the tag", async () => {
    await using served = await serveKept({ untagged_days: 7 });
    await pushImage(served, "a", "v1", { layers: [text("old")] });
    served.wait(30 * DAY);
    const old = await served.registry.resolve("a", "v1");
    await pushImage(served, "a", "v1", { layers: [text("new")] });
    served.wait(6 * DAY);
    expect(counts(await served.collect())).toEqual({});
    served.wait(2 * DAY);
    expect(counts(await served.collect())).toEqual({ manifests: 1, blobs: 1 });
    expect(await statusOf(served, `a/manifests/${old?.digest}`)).toBe(404);
    expect(await tagsOf(served, "a")).toEqual(["v1"]);
  });

  test("what is reachable stays: children of indexes at any depth, and referrers", async () => {
    await using served = await serveKept({ untagged_days: 0 });
    const child = await pushUntagged(served, "child");
    const inner = await pushIndex(served, "x", [child]);
    await pushIndex(served, "top", [inner]);
    await served.ask("DELETE", "a/manifests/x");
    const signature = await pushUntagged(served, "signature", child);
    const lost = await pushUntagged(served, "lost");
    const lostSignature = await pushUntagged(served, "lost signature", lost);
    served.wait(2 * DAY);
    const report = await served.collect();
    expect(counts(report)).toEqual({ manifests: 2, blobs: 2 });
    for (const digest of [child, inner, signature]) {
      expect(await statusOf(served, `a/manifests/${digest}`)).toBe(200);
    }
    for (const digest of [lost, lostSignature]) {
      expect(await statusOf(served, `a/manifests/${digest}`)).toBe(404);
    }
  });

  test("signatures under a digest's tag go with what they sign, and not before", async () => {
    await using served = await serveKept({ untagged_days: 0 });
    const image = await pushUntagged(served, "image");
    const tag = `sha256-${hexOf(image)}.sig`;
    await pushImage(served, "a", tag, { layers: [text("signature")] });
    await pushImage(served, "a", `sha256-${"0".repeat(64)}.sig`, {
      layers: [text("of elsewhere")],
    });
    expect(counts(await served.collect())).toEqual({});
    served.wait(2 * DAY);
    const report = await served.collect();
    expect(counts(report)).toEqual({ tags: 1, manifests: 2, blobs: 2 });
    expect(await tagsOf(served, "a")).toEqual([`sha256-${"0".repeat(64)}.sig`]);
  });

  test("what a fresh signature is for stays, whatever its age", async () => {
    await using served = await serveKept({ untagged_days: 0 });
    const image = await pushUntagged(served, "image");
    served.wait(10 * DAY);
    const signature = await pushUntagged(served, "signature", image);
    expect(counts(await served.collect())).toEqual({});
    served.wait(2 * DAY);
    expect(counts(await served.collect())).toEqual({ manifests: 2, blobs: 3, repositories: 1 });
    expect(await statusOf(served, `a/manifests/${signature}`)).toBe(404);
  });

  test("a manifest that somebody asks for, to leave it out of a push, is still there for that", async () => {
    await using served = await serveKept({ untagged_days: 0 });
    const child = await pushUntagged(served, "child");
    served.wait(10 * DAY);
    // As oras and crane do: what is there, with all it names, is not pushed again.
    expect(await statusOf(served, `a/manifests/${child}`)).toBe(200);
    served.wait(HOUR);
    expect(counts(await served.collect())).toEqual({});
    await pushIndex(served, "v1", [child]);
    const layer = await served.ask("GET", `a/blobs/${digestOf("child")}`);
    expect(await layer.text()).toBe("child");
  });

  test("what a running job needs stays, with its tag", async () => {
    await using served = await serveKept({ last: 0, untagged_days: 0 });
    const { digest } = await pushImage(served, "a", "v1", { layers: [text("job's")] });
    await pushImage(served, "a", "v2", { layers: [text("nobody's")] });
    served.wait(2 * DAY);
    const inUse = new Map([["a", new Set([digest])]]);
    expect(counts(await served.collect({ inUse }))).toEqual({ tags: 1 });
    expect(await tagsOf(served, "a")).toEqual(["v1"]);
    served.wait(2 * DAY);
    expect(counts(await served.collect({ inUse }))).toEqual({ manifests: 1, blobs: 1 });
    expect(await statusOf(served, `a/manifests/${digest}`)).toBe(200);
  });

  test.each<[string, KeepDocument, string[]]>([
    ["the newest two", { last: 2 }, ["v3", "v4"]],
    ["those of three days", { days: 3 }, ["v2", "v3", "v4"]],
    ["those whose names fit", { tags: ["v[12]"] }, ["v1", "v2"]],
    ["any that one of these says", { last: 1, tags: ["v2"] }, ["v2", "v4"]],
    ["everything where it says nothing of tags", { untagged_days: 1 }, ["v1", "v2", "v3", "v4"]],
  ])("retention keeps %s", async (_, keep, expected) => {
    await using served = await serveKept(keep);
    for (const tag of ["v1", "v2", "v3", "v4"]) {
      served.wait(1.2 * DAY);
      await pushImage(served, "a", tag, { layers: [text(tag)] });
    }
    await served.collect({ grace: 0 });
    expect(await tagsOf(served, "a")).toEqual(expected);
  });

  test("retention touches neither immutable tags nor fresh ones", async () => {
    await using served = await serveKept({ last: 0 }, ["v*"]);
    await pushImage(served, "a", "v1");
    await pushImage(served, "a", "old");
    served.wait(2 * DAY);
    await pushImage(served, "a", "fresh");
    expect(counts(await served.collect())).toEqual({ tags: 1 });
    expect(await tagsOf(served, "a")).toEqual(["fresh", "v1"]);
  });

  test("takes what crashes have left on the disk, and nothing that prov has not made", async () => {
    await using served = await serveKept(null);
    await pushImage(served, "a", "v1");
    const { root } = served;
    const [lost, unused] = [hexOf(digestOf("lost")), hexOf(digestOf("unused"))];
    const strays = [
      `repos/a/blobs/sha256/${lost}`,
      `repos/a/.${crypto.randomUUID()}`,
      `repos/nobody/knows/blobs/sha256/${lost}`,
      `store/sha256/${unused.slice(0, 2)}/${unused}`,
      `store/sha256/${unused.slice(0, 2)}/.${crypto.randomUUID()}`,
      "uploads/3fbd",
    ];
    const foreign = ["repos/a/README", "repos/a/blobs/sha256/notes.txt", "lost+found/x", ".hidden"];
    const before = await filesBelow(root);
    for (const path of [...strays, ...foreign]) await Bun.write(join(root, path), "x");
    expect(counts(await served.collect())).toEqual({});
    served.wait(2 * DAY);
    for (const dryRun of [true, false]) {
      const report = await served.collect({ dryRun });
      expect(counts(report)).toEqual({ strays: strays.length });
    }
    expect(await filesBelow(root)).toEqual([...before, ...foreign].sort());
    await expect(stat(`${root}/repos/nobody`)).rejects.toThrow("ENOENT");
  });

  test("a temporary file that is still being written stays, however short the grace period", async () => {
    await using served = await serveKept(null);
    const path = `${served.root}/repos/.${crypto.randomUUID()}`;
    const other = `${served.root}/uploads/manifest-${crypto.randomUUID()}`;
    for (const each of [path, other]) await Bun.write(each, "x");
    expect(counts(await served.collect({ grace: 0 }))).toEqual({});
    await utimes(other, 0, 0);
    expect(await Bun.file(path).exists()).toBe(true);
  });

  test("a repository that has nothing left goes, directory and all; one with an upload stays", async () => {
    await using served = await serveKept(null);
    for (const name of ["gone/deep", "stays"]) await pushBlob(served, name, text(name));
    await served.ask("POST", "stays/blobs/uploads/");
    served.wait(2 * DAY);
    expect(counts(await served.collect())).toEqual({ blobs: 2, repositories: 1 });
    expect(await served.registry.repositories()).toEqual(["stays"]);
    await expect(stat(`${served.root}/repos/gone`)).rejects.toThrow("ENOENT");
    await pushImage(served, "gone/deep", "again");
    expect(await tagsOf(served, "gone/deep")).toEqual(["again"]);
  });

  test("a dry run says the same and does nothing", async () => {
    await using served = await serveKept({ last: 1, untagged_days: 0 });
    for (const tag of ["v1", "v2", "v3"]) {
      served.wait(HOUR);
      await pushImage(served, "a", tag, { layers: [text(tag)] });
    }
    const image = await pushUntagged(served, "image");
    await pushUntagged(served, "signature", image);
    await pushImage(served, "a", `sha256-${hexOf(image)}.sig`, { layers: [text("legacy")] });
    await pushBlob(served, "b", text("alone"));
    served.wait(2 * DAY);
    const before = await filesBelow(served.root);
    const { took: _took, ...dry } = await served.collect({ grace: 0, dryRun: true });
    expect(await filesBelow(served.root)).toEqual(before);
    const { took: _, ...real } = await served.collect({ grace: 0 });
    expect({ ...dry, dryRun: false }).toEqual(real);
    expect(counts(real)).toEqual({ tags: 3, manifests: 5, blobs: 6, repositories: 1 });
  });

  test("runs one at a time, and not on a read-only registry", async () => {
    await using served = await serveKept(null);
    const first = served.collect();
    await expect(served.collect()).rejects.toMatchObject({ code: "CONFLICT" });
    await first;
    await served.registry.setPolicy({ read_only: true }, null);
    await expect(served.collect()).rejects.toThrow("the registry is read-only");
    await served.collect({ dryRun: true });
  });

  test("a directory that the catalog does not know keeps its index.json as long as its content", async () => {
    await using served = await serveKept(null);
    await pushImage(served, "a", "v1");
    const { root } = served;
    await Bun.$`cp --recursive ${root}/repos/a ${root}/repos/restored`.quiet();
    await Bun.write(`${root}/repos/restored/index.json`, "{}");
    expect(counts(await served.collect())).toEqual({});
    expect(await Bun.file(`${root}/repos/restored/index.json`).text()).toBe("{}");
    served.wait(2 * DAY);
    expect(counts(await served.collect())).toEqual({ strays: 3 });
    await expect(stat(`${root}/repos/restored`)).rejects.toThrow("ENOENT");
  });

  test("a fresh signature under a digest's tag stays, with what it is for", async () => {
    await using served = await serveKept({ untagged_days: 0 });
    const image = await pushUntagged(served, "image");
    served.wait(10 * DAY);
    const tag = `sha256-${hexOf(image)}.sig`;
    await pushImage(served, "a", tag, { layers: [text("signature")] });
    expect(counts(await served.collect())).toEqual({});
    expect(await tagsOf(served, "a")).toEqual([tag]);
    expect(await statusOf(served, `a/manifests/${image}`)).toBe(200);
    served.wait(2 * DAY);
    expect(counts(await served.collect())).toMatchObject({ tags: 1, manifests: 2 });
  });

  test("stops when the registry becomes read-only, and the audit log tells what had gone by then", async () => {
    let onUnlink = async () => {};
    const unlink: Disk["unlink"] = async (path) => {
      await onUnlink();
      await realDisk.unlink(path);
    };
    const sleep = async () => await setImmediate();
    await using served = await serveRegistry({ disk: { ...realDisk, unlink }, sleep });
    const rules = [{ repositories: "**", keep: { last: 0, untagged_days: 0 } }];
    await served.registry.setPolicy({ rules }, null);
    for (const name of ["a", "b"]) await pushImage(served, name, "v1");
    onUnlink = async () => {
      onUnlink = async () => {};
      await served.registry.setPolicy({ read_only: true, rules }, null);
    };
    const inUse = () => Promise.resolve(NOTHING);
    const options = { dryRun: false, grace: millis(0), inUse };
    await expect(served.registry.housekeeping.collect(options)).rejects.toMatchObject({
      code: "CONFLICT",
    });
    const { entries } = await served.registry.auditPage({ limit: 9, identity: "housekeeping" });
    expect(entries.map(({ action, repository }) => [action, repository])).toEqual([
      ["collect", "a"],
      ["expire", "a"],
    ]);
    expect(await tagsOf(served, "b")).toEqual(["v1"]);
    // Who copies the directory now finds there what the catalog says.
    const index = Bun.file(`${served.root}/repos/a/index.json`);
    const named = async () =>
      (await index.exists()) ? (await index.json()).manifests.length : undefined;
    while ((await named()) !== 0) await setImmediate();
  });

  test("the audit log tells of each tag, however many", async () => {
    await using served = await serveKept({ last: 0 });
    const { digest, manifest } = await pushImage(served, "a", "v1");
    const tags = Array.from({ length: 1100 }, (_, i) => `t${i}`);
    const query = tags.map((tag) => `tag=${tag}`).join("&");
    const { status } = await served.ask("PUT", `a/manifests/${digest}?${query}`, {
      body: manifest,
      headers: { "content-type": MEDIA_TYPE.image },
    });
    expect(status).toBe(201);
    const report = await served.collect({ grace: 0 });
    expect([counts(report).tags, report.removed.length]).toEqual([1101, 1000]);
    const audited = new Set<string | undefined>();
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const before = cursor === undefined ? {} : { before: cursor };
      const page = await served.registry.auditPage({ limit: 500, ...before });
      for (const { action, reference } of page.entries) {
        if (action === "expire") audited.add(reference);
      }
      cursor = page.cursor;
    }
    expect(["v1", ...tags].filter((tag) => !audited.has(tag))).toEqual([]);
  });

  test("the audit log tells what it has removed", async () => {
    await using served = await serveKept({ last: 0, untagged_days: 0 });
    const { digest } = await pushImage(served, "a", "v1");
    await served.collect({ grace: 0 });
    const { entries } = await served.registry.auditPage({ limit: 3 });
    expect(entries).toMatchObject([
      { action: "collect", reason: "1 tags, 1 manifests, 2 blobs, 0 strays, 1 repositories" },
      { identity: "housekeeping", action: "collect", repository: "a", digest },
      { identity: "housekeeping", action: "expire", repository: "a", reference: "v1" },
    ]);
  });
});
