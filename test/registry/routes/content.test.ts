// SPDX-License-Identifier: AGPL-3.0-or-later
/** What the routes do beyond the standard's text, which test/registry/spec walks through. */
import { expect, test } from "bun:test";
import { rm, truncate } from "node:fs/promises";
import { silentLog } from "../../../src/base/deps.ts";
import { digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { repositoryBlobPath } from "../../../src/registry/storage/layout.ts";
import { pushBlob, pushImage, serveRegistry, text } from "../served.ts";

test.each(["blobs", "manifests"])(
  "R48: what is damaged on disk is not served: %s",
  async (kind) => {
    await using served = await serveRegistry();
    const { digest, manifest } = await pushImage(served, "a", "v1");
    await pushBlob(served, "a", text(manifest));
    const file = repositoryBlobPath(served.root, "a", digest);
    const statuses = async () => {
      const methods = ["GET", "HEAD"].map((method) => served.ask(method, `a/${kind}/${digest}`));
      return (await Promise.all(methods)).map(({ status }) => status);
    };
    expect(await statuses()).toEqual([200, 200]);
    await truncate(file, 10);
    expect(await statuses()).toEqual([500, 500]);
    await rm(file);
    expect(await statuses()).toEqual([500, 500]);
    await pushImage(served, "a", "v1");
    expect(await statuses()).toEqual([200, 200]);
  },
);

test("a GET that meets a DELETE is answered with the whole blob or that there is none", async () => {
  const problems: unknown[] = [];
  const log = { ...silentLog, error: (problem: unknown) => void problems.push(problem) };
  await using served = await serveRegistry({ log });
  const found = new Set<string>();
  for (let round = 0; round < 30; round++) {
    const path = `a/blobs/${await pushBlob(served, "a", text("hello"))}`;
    const get = async () => {
      const response = await served.ask("GET", path);
      found.add(response.ok ? await response.text() : `${response.status}`);
    };
    await Promise.all([get(), get(), served.ask("DELETE", path), get(), get()]);
  }
  expect([...found].filter((each) => each !== "404" && each !== "hello")).toEqual([]);
  expect(problems).toEqual([]);
});

test("the controller asks what a tag names", async () => {
  await using served = await serveRegistry();
  const { digest, manifest } = await pushImage(served, "a/b", "v1");
  expect(await served.registry.resolve("a/b", "v1")).toEqual({
    digest,
    mediaType: MEDIA_TYPE.image,
    size: manifest.length,
    missing: [],
  });
  expect(await served.registry.resolve("a/b", "v2")).toBeUndefined();
  const layer = digestOf("layer");
  await served.ask("DELETE", `a/b/blobs/${layer}`);
  expect(await served.registry.resolve("a/b", "v1")).toMatchObject({ digest, missing: [layer] });
});
