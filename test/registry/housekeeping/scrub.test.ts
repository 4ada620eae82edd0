// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { copyFile, open, readdir, rename, rm, stat } from "node:fs/promises";
import { type Digest, digestOf, hexOf } from "../../../src/registry/digest.ts";
import type { ScrubProgress } from "../../../src/registry/housekeeping/scrub.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { repositoryBlobPath, storePath } from "../../../src/registry/storage/layout.ts";
import {
  errorCode,
  noise,
  pushBlob,
  pushImage,
  type Served,
  serveRegistry,
  text,
} from "../served.ts";

const RATE = 1e9;

async function scrub(served: Served): Promise<ScrubProgress> {
  const { scrub: it } = served.registry.housekeeping;
  await it.start(RATE);
  for (;;) {
    const progress = await it.progress();
    if (!progress.isRunning) return progress;
    await Bun.sleep(1);
  }
}

/** One bit, as a disk does it: names, size and times stay. */
async function flip(path: string): Promise<void> {
  const handle = await open(path, "r+");
  const byte = new Uint8Array(1);
  await handle.read(byte, 0, 1, 3);
  await handle.write(
    byte.map((value) => value ^ 1),
    0,
    1,
    3,
  );
  await handle.close();
}

describe("R50: scrub", () => {
  test("finds nothing where all is well, and says how much it has read", async () => {
    await using served = await serveRegistry();
    await pushImage(served, "a", "v1", { layers: [noise(1_000_000)] });
    await pushImage(served, "b", "v1", { layers: [noise(1_000_000)] });
    const progress = await scrub(served);
    expect(progress.damages).toEqual([]);
    expect(progress.contents).toBe(3);
    expect(progress.bytes).toBeGreaterThan(1_000_000);
    expect(progress.bytes).toBeLessThan(1_010_000);
    expect(progress.finishedAt).toBeGreaterThanOrEqual(progress.startedAt ?? Infinity);
  });

  test("a damaged blob is quarantined in every repository, is a 404 then, and a push heals it", async () => {
    await using served = await serveRegistry();
    const { digest: image } = await pushImage(served, "a", "v1", { layers: [text("layer one")] });
    await pushImage(served, "a/b", "v2", { layers: [text("layer one")] });
    const blob = digestOf("layer one");
    await flip(storePath(served.root, blob));
    const { damages } = await scrub(served);
    const file = `${served.root}/quarantine/sha256-${hexOf(blob)}`;
    expect(damages).toMatchObject([
      {
        digest: blob,
        outcome: "quarantined",
        file,
        places: [
          { repository: "a", manifests: [image], tags: ["v1"] },
          { repository: "a/b", manifests: [image], tags: ["v2"] },
        ],
      },
    ]);
    expect(await Bun.file(file).text()).toBe("laydr one");
    expect(await Bun.file(`${file}.json`).json()).toEqual(damages[0] as never);
    for (const name of ["a", "a/b"]) {
      expect((await served.ask("HEAD", `${name}/blobs/${blob}`)).status).toBe(404);
      const answer = await served.ask("GET", `${name}/blobs/${blob}`);
      expect([answer.status, await errorCode(answer)]).toEqual([404, "BLOB_UNKNOWN"]);
      await pushBlob(served, name, text("layer one"));
      expect(await (await served.ask("GET", `${name}/blobs/${blob}`)).text()).toBe("layer one");
    }
    expect((await scrub(served)).damages).toEqual([]);
  });

  test("a damaged manifest goes with its tags, and what it names is kept for its return", async () => {
    let ahead = 0;
    await using served = await serveRegistry({ now: () => Date.now() + ahead });
    const image = await pushImage(served, "a", "v1", { layers: [text("layer")] });
    ahead = 1000 * 3600_000;
    await flip(storePath(served.root, image.digest));
    const { damages } = await scrub(served);
    expect(damages).toMatchObject([
      {
        outcome: "quarantined",
        places: [{ repository: "a", manifests: [image.digest], tags: ["v1"] }],
      },
    ]);
    expect((await served.ask("HEAD", "a/manifests/v1")).status).toBe(404);
    expect((await served.ask("HEAD", `a/manifests/${image.digest}`)).status).toBe(404);
    const collected = await served.registry.housekeeping.collect({
      dryRun: false,
      grace: 3600_000 as never,
      inUse: () => Promise.resolve(new Map()),
    });
    expect(collected.removed).toEqual([]);
    const again = await served.ask("PUT", "a/manifests/v1", {
      body: image.manifest,
      headers: { "content-type": "application/vnd.oci.image.manifest.v1+json" },
    });
    expect(again.status).toBe(201);
    expect(await (await served.ask("GET", "a/manifests/v1")).text()).toBe(image.manifest);
  });

  test("what a damaged index named, and what refers to it, is kept for its return", async () => {
    let ahead = 0;
    await using served = await serveRegistry({ now: () => Date.now() + ahead });
    await served.registry.setPolicy(
      { rules: [{ repositories: "**", keep: { untagged_days: 0 } }] },
      null,
    );
    const child = await pushImage(served, "a", "moving", { layers: [text("layer")] });
    const body = JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.index,
      manifests: [{ mediaType: MEDIA_TYPE.image, digest: child.digest, size: 1 }],
    });
    const headers = { "content-type": MEDIA_TYPE.index };
    await served.ask("PUT", "a/manifests/v1", { body, headers });
    const signature = await pushImage(served, "a", "moving", { subject: digestOf(body) });
    await served.ask("DELETE", "a/manifests/moving");
    ahead = 1000 * 3600_000;
    await flip(storePath(served.root, digestOf(body)));
    expect((await scrub(served)).damages).toMatchObject([{ outcome: "quarantined" }]);
    const collected = await served.registry.housekeeping.collect({
      dryRun: false,
      grace: 3600_000 as never,
      inUse: () => Promise.resolve(new Map()),
    });
    expect(collected.removed).toEqual([]);
    for (const { digest } of [child, signature]) {
      expect((await served.ask("HEAD", `a/manifests/${digest}`)).status).toBe(200);
    }
  });

  test("a repository's own copy is looked at too, and repaired from the store", async () => {
    await using served = await serveRegistry();
    const blob = await pushBlob(served, "a", text("a copy, as after 65,000 links"));
    const path = repositoryBlobPath(served.root, "a", blob);
    await copyFile(path, `${path}.copy`);
    await rename(`${path}.copy`, path);
    await flip(path);
    const { damages } = await scrub(served);
    expect(damages).toMatchObject([{ outcome: "repaired", places: [{ repository: "a" }] }]);
    const answer = await served.ask("GET", `a/blobs/${blob}`);
    expect(await answer.text()).toBe("a copy, as after 65,000 links");
  });

  test.each<[string, (root: string, digest: Digest) => Promise<void>, string]>([
    ["in the repository only", (root, d) => rm(repositoryBlobPath(root, "a", d)), "repaired"],
    [
      "everywhere",
      async (root, d) => {
        await rm(repositoryBlobPath(root, "a", d));
        await rm(storePath(root, d));
      },
      "missing",
    ],
  ])("a file that is gone %s is found", async (_, remove, outcome) => {
    await using served = await serveRegistry();
    const blob = await pushBlob(served, "a", text("lost"));
    await remove(served.root, blob);
    expect((await scrub(served)).damages).toMatchObject([{ digest: blob, outcome, file: null }]);
    const { status } = await served.ask("HEAD", `a/blobs/${blob}`);
    expect(status).toBe(outcome === "repaired" ? 200 : 404);
    expect((await scrub(served)).damages).toEqual([]);
  });

  test("a blob that is too short is damaged", async () => {
    await using served = await serveRegistry();
    const blob = await pushBlob(served, "a", text("too long"));
    await Bun.write(storePath(served.root, blob), "too");
    expect((await scrub(served)).damages).toMatchObject([{ outcome: "quarantined" }]);
  });

  test("keeps to its rate, and goes on where a restart has cut it short", async () => {
    let time = 1_000_000;
    let isScrubbing = false;
    const { promise: isHalf, resolve: stop } = Promise.withResolvers<void>();
    const sleep = async (ms: number, signal?: AbortSignal) => {
      signal?.throwIfAborted();
      if (!isScrubbing) return;
      time += ms;
      if (time >= 1_006_000) {
        stop();
        await new Promise((_, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason));
        });
      }
    };
    const first = await serveRegistry({ now: () => time, sleep });
    const { root } = first;
    for (let i = 0; i < 10; i++) await pushBlob(first, "a", noise(1_000_000, i));
    isScrubbing = true;
    await first.registry.housekeeping.scrub.start(1_000_000);
    await isHalf;
    await first.crash();
    await first.registry.close();
    const half = await Bun.file(`${root}/scrub.json`).json();
    expect(half).toMatchObject({ finishedAt: null, damages: [] });
    expect(half.bytes).toBeGreaterThan(5_000_000);
    expect(half.bytes).toBeLessThan(6_500_000);

    await using second = await serveRegistry({ root });
    const progress = await scrub(second);
    expect(progress.contents).toBe(10);
    expect(progress.startedAt).toBe(1_000_000);
    // What was begun is read once more from its beginning.
    expect(progress.bytes - 10_000_000).toBeLessThan(1_000_001);
    expect(progress.finishedAt).not.toBeNull();
  });

  test("what is pushed and deleted meanwhile is no damage", async () => {
    await using served = await serveRegistry();
    const blobs: Digest[] = [];
    for (let i = 0; i < 20; i++) blobs.push(await pushBlob(served, "a", noise(300_000, i)));
    const { scrub: it } = served.registry.housekeeping;
    await it.start(RATE);
    for (const blob of blobs) await served.ask("DELETE", `a/blobs/${blob}`);
    for (let i = 0; i < 20; i++) await pushBlob(served, "b", noise(300_000, i));
    const { damages } = await scrub(served);
    expect(damages).toEqual([]);
    await expect(stat(`${served.root}/quarantine`)).rejects.toThrow("ENOENT");
    expect(await readdir(`${served.root}/repos/b/blobs/sha256`)).toHaveLength(20);
  });
});
