// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import fc from "fast-check";
import { millis } from "../../../src/base/units.ts";
import { type Digest, digestOf } from "../../../src/registry/digest.ts";
import type { GcReport } from "../../../src/registry/housekeeping/report.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { createRandom } from "../../helpers/random.ts";
import { pushBlob, type Served, serveRegistry, text } from "../served.ts";

const HOUR = 3600_000;
const NAME = "a/b";

interface Known {
  readonly children: readonly string[];
  readonly layers: readonly string[];
  readonly subject: string | undefined;
}

/** What was pushed and not deleted: the simplest thing that could be right. */
class World {
  served: Served;
  ahead = 0;
  readonly manifests = new Map<string, Known>();
  readonly tags = new Map<string, string>();

  constructor(served: Served) {
    this.served = served;
  }

  /** From the tags through everything that is named, and everything that refers to it. */
  reachable(): Set<string> {
    const found = new Set(this.tags.values());
    for (let before = -1; before !== found.size; ) {
      before = found.size;
      for (const [digest, { subject, children }] of this.manifests) {
        if (subject !== undefined && found.has(subject)) found.add(digest);
        const here = children.filter((child) => this.manifests.has(child));
        if (found.has(digest)) for (const child of here) found.add(child);
      }
    }
    return found;
  }
}

type Step = (world: World) => Promise<void>;
const LAYERS = ["one", "two", "three", ""];
const layers = fc.constantFrom(...LAYERS);
const tags = fc.constantFrom("v1", "v2");

async function put(world: World, json: object, tag: string | null, known: Known): Promise<void> {
  const body = JSON.stringify({ schemaVersion: 2, ...json });
  const digest = digestOf(body);
  const headers = { "content-type": (json as { mediaType: string }).mediaType };
  const path = `${NAME}/manifests/${tag ?? digest}`;
  expect((await world.served.ask("PUT", path, { body, headers })).status).toBe(201);
  world.manifests.set(digest, known);
  if (tag !== null) world.tags.set(tag, digest);
}

const pick = (world: World, nth: number): string | undefined =>
  [...world.manifests.keys()][nth % Math.max(1, world.manifests.size)];

const images = fc.tuple(layers, fc.option(tags), fc.option(fc.nat(9)), fc.nat(3)).map(
  ([layer, tag, subjectOf, variant]): Step =>
    async (world) => {
      const subject = subjectOf === null ? undefined : pick(world, subjectOf);
      const descriptors = [];
      for (const content of ["{}", layer]) {
        const digest = await pushBlob(world.served, NAME, text(content));
        descriptors.push({ mediaType: "application/x", digest, size: content.length });
      }
      const [config, ...rest] = descriptors;
      const json = {
        mediaType: MEDIA_TYPE.image,
        config,
        layers: rest,
        annotations: { variant: `${variant}` },
        ...(subject && { subject: { mediaType: MEDIA_TYPE.image, digest: subject, size: 1 } }),
      };
      await put(world, json, tag, { children: [], layers: ["{}", layer], subject });
    },
);

const indexes = fc.tuple(fc.array(fc.nat(9), { maxLength: 3 }), fc.option(tags)).map(
  ([nths, tag]): Step =>
    async (world) => {
      const children = [...new Set(nths.flatMap((nth) => pick(world, nth) ?? []))];
      const manifests = children.map((digest) => ({
        mediaType: MEDIA_TYPE.image,
        digest,
        size: 1,
      }));
      const known = { children, layers: [], subject: undefined };
      await put(world, { mediaType: MEDIA_TYPE.index, manifests }, tag, known);
    },
);

const untags = tags.map(
  (tag): Step =>
    async (world) => {
      const { status } = await world.served.ask("DELETE", `${NAME}/manifests/${tag}`);
      expect(status).toBe(world.tags.delete(tag) ? 202 : 404);
    },
);

const waits = fc.integer({ min: 1, max: 40 }).map(
  (hours): Step =>
    (world) => {
      world.ahead += hours * HOUR;
      return Promise.resolve();
    },
);

async function collect(served: Served, grace: number): Promise<GcReport> {
  return await served.registry.housekeeping.collect({
    dryRun: false,
    grace: millis(grace),
    inUse: () => Promise.resolve(new Map()),
  });
}

async function look(world: World): Promise<void> {
  const reachable = world.reachable();
  for (const [digest, { layers: its }] of world.manifests) {
    const { status } = await world.served.ask("HEAD", `${NAME}/manifests/${digest}`);
    if (reachable.has(digest)) expect([digest, status]).toEqual([digest, 200]);
    if (status === 404) world.manifests.delete(digest);
    for (const layer of status === 200 ? its : []) {
      const response = await world.served.ask("GET", `${NAME}/blobs/${digestOf(layer)}`);
      expect(await response.text()).toBe(layer);
    }
  }
}

const collections = fc.constantFrom(0, 24 * HOUR).map(
  (grace): Step =>
    async (world) => {
      await collect(world.served, grace);
      await look(world);
    },
);

async function serve(world: { ahead: number }, root?: string): Promise<Served> {
  const served = await serveRegistry({
    now: () => Date.now() + world.ahead,
    ...(root && { root }),
  });
  const rule = { repositories: "**", keep: { untagged_days: 0 } };
  await served.registry.setPolicy({ rules: [rule] }, null);
  return served;
}

const restarts = fc.constantFrom("restart", "rebuild").map(
  (kind): Step =>
    async (world) => {
      await world.served.crash();
      await world.served.registry.close();
      const { root } = world.served;
      if (kind === "rebuild") await rm(`${root}/index.db`);
      world.served = await serve(world, root);
    },
);

test("R50: any sequence of pushes, signatures, indexes, collections and rebuilds keeps what is reachable, and in the end nothing else", async () => {
  const steps = fc.array(
    fc.oneof(
      { arbitrary: images, weight: 5 },
      { arbitrary: indexes, weight: 3 },
      { arbitrary: untags, weight: 2 },
      { arbitrary: waits, weight: 2 },
      { arbitrary: collections, weight: 3 },
      { arbitrary: restarts, weight: 1 },
    ),
    { minLength: 8, maxLength: 25 },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const clock = { ahead: 0 };
      const world = new World(await serve(clock));
      Object.defineProperty(clock, "ahead", { get: () => world.ahead });
      try {
        for (const step of sequence) await step(world);
        world.ahead += 1000 * HOUR;
        await collect(world.served, 0);
        const reachable = world.reachable();
        await look(world);
        expect(new Set(world.manifests.keys())).toEqual(reachable);
        const named = new Set([...world.manifests.values()].flatMap((each) => each.layers));
        for (const layer of [...LAYERS, "{}"]) {
          const { status } = await world.served.ask("HEAD", `${NAME}/blobs/${digestOf(layer)}`);
          expect([layer, status]).toEqual([layer, named.has(layer) ? 200 : 404]);
        }
      } finally {
        await world.served[Symbol.asyncDispose]();
      }
    }),
    { numRuns: 15 },
  );
}, 60_000);

test("R50: collections between the requests of pushes never take what is acknowledged and reachable", async () => {
  const clock = { ahead: 0 };
  await using served = await serve(clock);
  const random = createRandom(7);
  const tagged = new Map<string, { digest: Digest; layer: string }>();
  let isOver = false;
  let gone = 0;
  async function pushOften(who: number): Promise<void> {
    for (let i = 0; i < 25; i++) {
      const layer = `layer ${random.below(12)}`;
      const descriptors = [];
      for (const content of ["{}", layer]) {
        const digest = digestOf(content);
        // As clients do: what is there is not sent again.
        const { ok } = await served.ask("HEAD", `${NAME}/blobs/${digest}`);
        if (!ok) await pushBlob(served, NAME, text(content));
        clock.ahead += random.below(10) * 60_000;
        descriptors.push({ mediaType: "application/x", digest, size: content.length });
      }
      const [config, ...rest] = descriptors;
      const annotations = { who: `${who}`, i: `${i}` };
      const json = {
        schemaVersion: 2,
        mediaType: MEDIA_TYPE.image,
        config,
        layers: rest,
        annotations,
      };
      const body = JSON.stringify(json);
      const headers = { "content-type": MEDIA_TYPE.image };
      const tag = `tag-${who}`;
      const { status } = await served.ask("PUT", `${NAME}/manifests/${tag}`, { body, headers });
      expect(status).toBe(201);
      tagged.set(tag, { digest: digestOf(body), layer });
      const response = await served.ask("GET", `${NAME}/blobs/${digestOf(layer)}`);
      expect(await response.text()).toBe(layer);
    }
  }
  async function collectOften(): Promise<void> {
    while (!isOver) {
      const { phases } = await collect(served, 4 * HOUR);
      gone += phases.manifests.count + phases.blobs.count;
    }
  }
  const collecting = collectOften();
  const pushing = Promise.all([0, 1, 2].map(pushOften)).finally(() => {
    isOver = true;
  });
  await Promise.all([pushing, collecting]);
  expect(gone).toBeGreaterThan(10);
  for (const [tag, { digest, layer }] of tagged) {
    expect((await served.registry.resolve(NAME, tag))?.digest).toBe(digest);
    const response = await served.ask("GET", `${NAME}/blobs/${digestOf(layer)}`);
    expect(await response.text()).toBe(layer);
  }
}, 60_000);
