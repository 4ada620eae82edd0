// SPDX-License-Identifier: AGPL-3.0-or-later
/** What the routes do beyond the standard's text, which test/registry/spec walks through. */
import { expect, test } from "bun:test";
import { digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { pushBlob, pushImage, serveRegistry, text } from "../served.ts";

test("R48: a blob that is damaged on disk is not served", async () => {
  await using served = await serveRegistry();
  const digest = await pushBlob(served, "a", text("hello"));
  await Bun.write(`${served.root}/repos/a/blobs/sha256/${digest.slice(7)}`, "hell");
  for (const method of ["GET", "HEAD"]) {
    expect((await served.ask(method, `a/blobs/${digest}`)).status).toBe(500);
  }
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
