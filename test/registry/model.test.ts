// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import fc from "fast-check";
import { digestOf } from "../../src/registry/digest.ts";
import { pushBlob, pushImage, type Served, serveRegistry, text } from "./served.ts";

/** What a repository should have: the simplest thing that could be right. */
class Model {
  readonly blobs = new Map<string, Set<string>>();
  readonly manifests = new Map<string, Map<string, string>>();
  readonly tags = new Map<string, Map<string, string>>();

  static at<T>(map: Map<string, T>, key: string, make: () => T): T {
    const found = map.get(key) ?? make();
    map.set(key, found);
    return found;
  }
  blobsOf = (name: string) => Model.at(this.blobs, name, () => new Set<string>());
  manifestsOf = (name: string) => Model.at(this.manifests, name, () => new Map<string, string>());
  tagsOf = (name: string) => Model.at(this.tags, name, () => new Map<string, string>());
}

interface World {
  served: Served;
}
type Step = (model: Model, world: World) => Promise<void>;

const names = fc.constantFrom("a", "a/b", "a/blobs", "c");
const contents = fc.constantFrom("one", "two", "three", "");
const tags = fc.constantFrom("v1", "v2", "latest");

const pushes = fc.tuple(names, contents, tags).map(
  ([name, content, tag]): Step =>
    async (model, { served }) => {
      const pushed = await pushImage(served, name, tag, { layers: [text(content)] });
      expect(pushed.response.status).toBe(201);
      model.blobsOf(name).add(digestOf(content)).add(digestOf("{}"));
      model.manifestsOf(name).set(pushed.digest, pushed.manifest);
      model.tagsOf(name).set(tag, pushed.digest);
    },
);

const blobPushes = fc.tuple(names, contents).map(
  ([name, content]): Step =>
    async (model, { served }) => {
      model.blobsOf(name).add(await pushBlob(served, name, text(content)));
    },
);

const mounts = fc.tuple(names, names, contents).map(
  ([from, to, content]): Step =>
    async (model, { served }) => {
      const digest = digestOf(content);
      const query = `?mount=${digest}&from=${from}`;
      const { status } = await served.ask("POST", `${to}/blobs/uploads/${query}`);
      expect(status).toBe(model.blobsOf(from).has(digest) ? 201 : 202);
      if (status === 201) model.blobsOf(to).add(digest);
    },
);

const blobDeletes = fc.tuple(names, contents).map(
  ([name, content]): Step =>
    async (model, { served }) => {
      const digest = digestOf(content);
      const { status } = await served.ask("DELETE", `${name}/blobs/${digest}`);
      expect(status).toBe(model.blobsOf(name).delete(digest) ? 202 : 404);
    },
);

const tagDeletes = fc.tuple(names, tags).map(
  ([name, tag]): Step =>
    async (model, { served }) => {
      const { status } = await served.ask("DELETE", `${name}/manifests/${tag}`);
      expect(status).toBe(model.tagsOf(name).delete(tag) ? 202 : 404);
    },
);

const manifestDeletes = fc.tuple(names, tags).map(
  ([name, tag]): Step =>
    async (model, { served }) => {
      const digest = model.tagsOf(name).get(tag);
      if (digest === undefined) return;
      expect((await served.ask("DELETE", `${name}/manifests/${digest}`)).status).toBe(202);
      model.manifestsOf(name).delete(digest);
      for (const [other, its] of model.tagsOf(name)) {
        if (its === digest) model.tagsOf(name).delete(other);
      }
    },
);

const restarts = fc.constantFrom("restart", "rebuild").map(
  (kind): Step =>
    async (_, world) => {
      await world.served.crash();
      await world.served.registry.close();
      const { root } = world.served;
      if (kind === "rebuild") {
        for (const end of ["", "-wal", "-shm"]) await rm(`${root}/index.db${end}`, { force: true });
      }
      world.served = await serveRegistry({ root });
    },
);

async function compareBlobs(model: Model, served: Served): Promise<void> {
  for (const [name, digests] of model.blobs) {
    for (const content of ["one", "two", "three", "", "{}"]) {
      const digest = digestOf(content);
      const response = await served.ask("GET", `${name}/blobs/${digest}`);
      expect(response.status).toBe(digests.has(digest) ? 200 : 404);
      if (response.ok) expect(await response.text()).toBe(content);
    }
  }
}

async function compareManifests(model: Model, served: Served): Promise<void> {
  for (const [name, manifests] of model.manifests) {
    for (const [digest, manifest] of manifests) {
      const response = await served.ask("GET", `${name}/manifests/${digest}`);
      expect(await response.text()).toBe(manifest);
    }
  }
  for (const [name, expected] of model.tags) {
    const response = await served.ask("GET", `${name}/tags/list`);
    const found = response.ok ? ((await response.json()) as { tags: string[] }).tags : [];
    expect(found.sort()).toEqual([...expected.keys()].sort());
    for (const [tag, digest] of expected) {
      expect((await served.registry.resolve(name, tag))?.digest).toBe(digest as never);
    }
  }
}

test("R48, R51: any sequence of pushes, mounts, deletes, restarts and rebuilds agrees with a simple model", async () => {
  const steps = fc.array(
    fc.oneof(
      { arbitrary: pushes, weight: 4 },
      { arbitrary: blobPushes, weight: 2 },
      { arbitrary: mounts, weight: 2 },
      { arbitrary: blobDeletes, weight: 2 },
      { arbitrary: tagDeletes, weight: 1 },
      { arbitrary: manifestDeletes, weight: 1 },
      { arbitrary: restarts, weight: 1 },
    ),
    { minLength: 5, maxLength: 20 },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const model = new Model();
      const world: World = { served: await serveRegistry() };
      try {
        for (const step of sequence) await step(model, world);
        await compareBlobs(model, world.served);
        await compareManifests(model, world.served);
      } finally {
        await world.served[Symbol.asyncDispose]();
      }
    }),
    { numRuns: 10 },
  );
}, 30_000);
