// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { chown, readdir, rm, stat, symlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { millis } from "../../../src/base/units.ts";
import { type Digest, digestOf } from "../../../src/registry/digest.ts";
import { rebuildRegistry } from "../../../src/registry/housekeeping/rebuild.ts";
import type { GcReport } from "../../../src/registry/housekeeping/report.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { repositoryBlobPath } from "../../../src/registry/storage/layout.ts";
import { dumpCatalog } from "../catalog-dump.ts";
import { filesBelow } from "../files-below.ts";
import { noise, pushBlob, pushImage, type Served, serveRegistry, text } from "../served.ts";

/** Two repositories that are inside a third one, an index, referrers, sha512, and blobs of nobody's. */
async function fill(served: Served): Promise<Digest> {
  for (const name of ["a", "a/b", "a/blobs"]) {
    await pushImage(served, name, "v1", { layers: [text(name), noise(5000)] });
  }
  const { digest } = await pushImage(served, "a", "v2", { layers: [text("two")] });
  await pushImage(served, "a", "gone", { subject: digest, artifactType: "application/x.sig" });
  await served.ask("DELETE", "a/manifests/gone");
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.index,
    manifests: [{ mediaType: MEDIA_TYPE.image, digest, size: 1 }],
    annotations: { note: "kept" },
  });
  const headers = { "content-type": MEDIA_TYPE.index };
  const name = digestOf(index, "sha512");
  await served.ask("PUT", `a/manifests/${name}`, { body: index, headers });
  await served.ask("PUT", "a/manifests/all", { body: index, headers });
  await pushBlob(served, "only/blobs", text("alone"));
  return digest;
}

const DAY = 24 * 3600_000;

async function collect({ registry }: Served): Promise<GcReport> {
  const inUse = () => Promise.resolve(new Map());
  return await registry.housekeeping.collect({ dryRun: false, grace: millis(DAY), inUse });
}

/** Its reads fail with EIO, as those of a bad sector. */
async function makeUnreadable(path: string): Promise<void> {
  await rm(path);
  await symlink("/proc/self/mem", path);
}

async function stop(served: Served): Promise<void> {
  await served.crash();
  await served.registry.close();
}

describe("R51: rebuild", () => {
  test("makes the same catalog again, and a second time", async () => {
    const served = await serveRegistry();
    await using _ = served;
    await fill(served);
    const upload = (await served.ask("POST", "a/blobs/uploads/")).headers.get("location");
    await served.ask("PATCH", upload?.replace("/v2/", "") ?? "", { body: "01234" });
    await stop(served);
    const { root } = served;
    const before = dumpCatalog(root);
    const files = await filesBelow(root);
    const first = await rebuildRegistry(root, Date.now);
    expect(first).toMatchObject({
      repositories: 4,
      manifests: 7,
      tags: 5,
      uploads: 1,
      problems: [],
    });
    expect(dumpCatalog(root)).toEqual(before);
    const second = await rebuildRegistry(root, () => Date.now() + 1000);
    expect({ ...second, before: null }).toEqual({ ...first, before: null });
    expect(dumpCatalog(root)).toEqual(before);
    expect(await filesBelow(root)).toEqual(files);
    for (const { before: path } of [first, second]) {
      expect(await Bun.file(path ?? "").exists()).toBe(true);
    }
    await using again = await serveRegistry({ root });
    const status = await again.ask("GET", upload?.replace("/v2/", "") ?? "");
    expect(status.headers.get("range")).toBe("0-4");
  });

  test("is refused while a registry runs, which does not notice", async () => {
    await using served = await serveRegistry();
    await fill(served);
    await expect(rebuildRegistry(served.root, Date.now)).rejects.toMatchObject({
      code: "CONFLICT",
    });
    expect((await served.ask("GET", "a/tags/list")).status).toBe(200);
    expect(await readdir(served.root)).not.toContainEqual(
      expect.stringContaining("before-rebuild"),
    );
  });

  test("writes first what only the old catalog knows", async () => {
    // It never comes to writing index.json by itself.
    const served = await serveRegistry({
      sleep: (_ms, signal) =>
        new Promise((_, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason));
        }),
    });
    await using _ = served;
    await fill(served);
    await served.crash();
    const copy = `${served.root}-killed`;
    try {
      await Bun.$`cp --archive ${served.root} ${copy}`.quiet();
      expect(await Bun.file(`${copy}/repos/a/index.json`).exists()).toBe(false);
      const { problems } = await rebuildRegistry(copy, Date.now);
      expect(problems).toEqual([]);
      expect(dumpCatalog(copy)).toEqual(dumpCatalog(served.root));
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
  });

  test.each<[string, (path: string) => Promise<unknown>]>([
    ["no database", (path) => Bun.write(path, "no database at all, and long enough to see")],
    ["empty", (path) => Bun.write(path, "")],
    [
      "damaged in the middle",
      async (path) => {
        const bytes = await Bun.file(path).bytes();
        bytes.fill(0xff, 4096 * 3, 4096 * 12);
        await Bun.write(path, bytes);
      },
    ],
    ["gone", (path) => rm(path)],
  ])("an index.db that is %s costs nothing but time", async (_, damage) => {
    const served = await serveRegistry();
    await using __ = served;
    await fill(served);
    await stop(served);
    const { root } = served;
    const before = dumpCatalog(root);
    await damage(join(root, "index.db"));
    await rebuildRegistry(root, Date.now);
    expect(dumpCatalog(root)).toEqual(before);
  });

  test.each([
    ["half of it", 0.5],
    ["nothing", 0],
  ] as const)("an index.json of which %s is left costs the tags, and is kept", async (_, share) => {
    const served = await serveRegistry();
    await using __ = served;
    await fill(served);
    await stop(served);
    const path = join(served.root, "repos/a/index.json");
    const whole = await Bun.file(path).text();
    await Bun.write(path, whole.slice(0, whole.length * share));
    const report = await rebuildRegistry(served.root, Date.now);
    expect(report).toMatchObject({ repositories: 4, manifests: 7, tags: 2 });
    expect(report.problems).toEqual([
      "a: index.json cannot be read, its tags are lost; 5 manifests were found without it",
    ]);
    const aside = (await readdir(join(served.root, "repos/a"))).filter((name) =>
      name.startsWith("index.json.damaged-"),
    );
    expect(aside).toHaveLength(1);
  });

  test("what has lost its tags with index.json is not garbage before its days are over", async () => {
    let ahead = 0;
    const now = () => Date.now() + ahead;
    const served = await serveRegistry({ now });
    await using _ = served;
    const { root } = served;
    const digest = await fill(served);
    await served.registry.setPolicy(
      { rules: [{ repositories: "**", keep: { untagged_days: 7 } }] },
      null,
    );
    await stop(served);
    await Bun.write(join(root, "repos/a/index.json"), "{");
    ahead = 30 * DAY;
    await rebuildRegistry(root, now);
    const again = await serveRegistry({ now, root });
    await using __ = again;
    expect((await collect(again)).phases.manifests.count).toBe(0);
    ahead += 6 * DAY;
    await collect(again);
    expect((await again.ask("HEAD", `a/manifests/${digest}`)).status).toBe(200);
  });

  test("a manifest that is damaged or gone is left out and named, with its tags", async () => {
    const served = await serveRegistry();
    await using _ = served;
    const second = await fill(served);
    const first = (await served.registry.resolve("a", "v1"))?.digest ?? "sha256:";
    await stop(served);
    await Bun.write(repositoryBlobPath(served.root, "a", second), "{}");
    await rm(repositoryBlobPath(served.root, "a", first));
    const { problems, tags } = await rebuildRegistry(served.root, Date.now);
    expect(problems.toSorted()).toEqual(
      [
        `a: manifest ${first} is not there; it had the tags v1`,
        `a: manifest ${second} is damaged; it had the tags v2`,
      ].sort(),
    );
    expect(tags).toBe(3);
  });

  test("what the disk cannot read is as good as damaged, and the rest is there again", async () => {
    const served = await serveRegistry();
    await using _ = served;
    const { root } = served;
    const second = await fill(served);
    await stop(served);
    await makeUnreadable(repositoryBlobPath(root, "a", second));
    await makeUnreadable(join(root, "repos/a/b/index.json"));
    const { problems, repositories } = await rebuildRegistry(root, Date.now);
    expect(repositories).toBe(4);
    expect(problems.toSorted()).toEqual([
      "a/b: index.json cannot be read, its tags are lost; 1 manifests were found without it",
      `a: manifest ${second} is damaged; it had the tags v2`,
    ]);
  });

  test("files of somebody else's are neither read nor touched", async () => {
    const served = await serveRegistry();
    await using _ = served;
    await fill(served);
    await stop(served);
    const { root } = served;
    const before = dumpCatalog(root);
    const foreign = [
      "repos/README",
      "repos/a/blobs/README",
      "repos/a/blobs/sha256/notes",
      "repos/a/blobs/md5/d41d8cd98f00b204e9800998ecf8427e",
      "repos/Not A Name/blobs/sha256/x",
      "repos/lost+found/x",
    ];
    for (const path of foreign) await Bun.write(join(root, path), "x");
    expect((await rebuildRegistry(root, Date.now)).problems).toEqual([]);
    expect(dumpCatalog(root)).toEqual(before);
    for (const path of foreign) expect((await stat(join(root, path))).size).toBe(1);
  });

  test("the new catalog belongs to whom the directory belongs, also when root makes it", async () => {
    const served = await serveRegistry();
    await using _ = served;
    const { root } = served;
    await stop(served);
    // As far as whoever runs this may: the service's user.
    if (process.getuid?.() === 0) await chown(root, 65534, 65534);
    await rm(`${root}/lock.db`);
    await rebuildRegistry(root, Date.now);
    const { uid, gid } = await stat(root);
    for (const name of ["index.db", "lock.db"]) {
      expect(await stat(join(root, name))).toMatchObject({ uid, gid });
    }
  });

  test("the old catalog lies beside the new one, under the time", async () => {
    const served = await serveRegistry();
    await using _ = served;
    await stop(served);
    const { before } = await rebuildRegistry(served.root, () => Date.UTC(2026, 10, 26, 21, 17, 33));
    expect(basename(before ?? "")).toBe("index.db.before-rebuild-20261126T211733Z");
  });
});
