// SPDX-License-Identifier: AGPL-3.0-or-later
/** distribution-spec, "Pushing Manifests": end-7a and end-7b. Their shapes are in shapes.test.ts. */
import { describe, expect, test } from "bun:test";
import { ALGORITHMS, digestOf } from "../../../src/registry/digest.ts";
import { MANIFEST_MAX_BYTES, MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { errorCode, pushBlob, pushImage, text } from "../served.ts";
import { oneServer } from "./one-server.ts";
import { streamed } from "./pushing.ts";

const { ask, fresh, served } = oneServer();
const ABSENT = digestOf("absent");
const image = { schemaVersion: 2, mediaType: MEDIA_TYPE.image };
const config = { mediaType: "x/y", digest: ABSENT, size: 2 };
const index = (note: string) =>
  JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests: [], note });

describe('R48: end-7a "PUT by tag or digest"', () => {
  test("the registry MUST store the exact bytes: spaces, order of keys and escapes too", async () => {
    const repository = fresh();
    const body = `\n{ "manifests" : [ ],\t"schemaVersion":2 ,"mediaType":"${MEDIA_TYPE.index}","\\u0061":1.0 }\n\n`;
    for (const reference of ["v1", digestOf(body), digestOf(body, "sha512")]) {
      const put = await ask("PUT", `${repository}/manifests/${reference}`, { body });
      expect(put.status).toBe(201);
      const got = await ask("GET", `${repository}/manifests/${reference}`);
      expect(await got.text()).toBe(body);
    }
  });

  test("pushed by a tag, a tag moves to the new manifest, and the old one stays", async () => {
    const repository = fresh();
    for (const note of ["one", "two"]) {
      await ask("PUT", `${repository}/manifests/v1`, { body: index(note) });
    }
    expect(await (await ask("GET", `${repository}/manifests/v1`)).text()).toBe(index("two"));
    const old = await ask("GET", `${repository}/manifests/${digestOf(index("one"))}`);
    expect(await old.text()).toBe(index("one"));
  });

  test("parameters of Content-Type SHOULD be ignored, and it may be missing", async () => {
    const repository = fresh();
    const body = index("typed");
    for (const headers of [
      { "content-type": `${MEDIA_TYPE.index}; charset=utf-8` },
      { "content-type": "" },
    ]) {
      const put = await ask("PUT", `${repository}/manifests/v1`, { body, headers });
      expect(put.status).toBe(201);
      const got = await ask("GET", `${repository}/manifests/v1`);
      expect(got.headers.get("content-type")).toBe(MEDIA_TYPE.index);
    }
  });

  test.each(ALGORITHMS)("a %s digest that is not the manifest's MUST be 400", async (algorithm) => {
    const repository = fresh();
    const wrong = digestOf("other", algorithm);
    const put = await ask("PUT", `${repository}/manifests/${wrong}`, { body: `${index("x")}  ` });
    expect(put.status).toBe(400);
    expect(await errorCode(put)).toBe("DIGEST_INVALID");
    expect((await ask("GET", `${repository}/manifests/${wrong}`)).status).toBe(404);
  });

  test("a manifest of 4 MiB MUST be taken, and a larger one SHOULD be 413", async () => {
    const repository = fresh();
    const padding = MANIFEST_MAX_BYTES - index("").length;
    const largest = index("x".repeat(padding));
    expect((await ask("PUT", `${repository}/manifests/ok`, { body: largest })).status).toBe(201);
    const larger = index("x".repeat(padding + 1));
    for (const body of [larger, streamed(text(larger))]) {
      const put = await ask("PUT", `${repository}/manifests/large`, { body });
      expect(put.status).toBe(413);
      expect(await errorCode(put)).toBe("MANIFEST_INVALID");
    }
    expect((await ask("HEAD", `${repository}/manifests/large`)).status).toBe(404);
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["no object", "[]"],
    ["JSON that is too deep", "[".repeat(500_000)],
    ["no UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d])],
    ["no config", JSON.stringify({ ...image, layers: [] })],
    ["no layers", JSON.stringify({ ...image, config })],
    ["layers that are none", JSON.stringify({ ...image, config, layers: [null] })],
    ["no manifests", JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index })],
    ["docker's schema 1", JSON.stringify({ schemaVersion: 1, name: "a", fsLayers: [] })],
    [
      "a digest that is none",
      JSON.stringify({ ...image, config: { ...config, digest: "sha256:../../x" }, layers: [] }),
    ],
    ["a negative size", JSON.stringify({ ...image, config: { ...config, size: -1 }, layers: [] })],
    ["a subject that is none", JSON.stringify({ ...image, config, layers: [], subject: "x" })],
    ["a type that a browser runs", JSON.stringify({ mediaType: "text/html", x: "<script>" })],
    ["a type that breaks a header", JSON.stringify({ mediaType: "application/a\r\nx: y" })],
  ])("a manifest with %s MUST be refused, and leaves nothing", async (_, body) => {
    const repository = fresh();
    const response = await ask("PUT", `${repository}/manifests/v1`, {
      body,
      headers: { "content-type": "" },
    });
    expect(response.status).toBe(400);
    expect(await errorCode(response)).toBe("MANIFEST_INVALID");
    expect((await ask("GET", `${repository}/tags/list`)).status).toBe(404);
  });

  test("mediaType and Content-Type that contradict each other are refused", async () => {
    const headers = { "content-type": MEDIA_TYPE.image };
    const put = await ask("PUT", `${fresh()}/manifests/v1`, { body: index(""), headers });
    expect(await errorCode(put)).toBe("MANIFEST_INVALID");
  });

  test("a manifest MAY come before its blobs, but not contradict those that are there", async () => {
    const repository = fresh();
    const absent = JSON.stringify({ ...image, config, layers: [] });
    expect((await ask("PUT", `${repository}/manifests/v1`, { body: absent })).status).toBe(201);
    const digest = await pushBlob(served(), repository, text("{}"));
    const lie = JSON.stringify({ ...image, config: { ...config, digest, size: 3 }, layers: [] });
    const put = await ask("PUT", `${repository}/manifests/v2`, { body: lie });
    expect(await errorCode(put)).toBe("MANIFEST_INVALID");
    expect((await ask("HEAD", `${repository}/manifests/v2`)).status).toBe(404);
  });

  test("a push with a subject MUST be answered with OCI-Subject, and one without MUST NOT", async () => {
    const repository = fresh();
    const plain = await pushImage(served(), repository, "v1");
    expect(plain.response.headers.has("oci-subject")).toBe(false);
    const about = await pushImage(served(), repository, "v2", { subject: plain.digest });
    expect(about.response.headers.get("oci-subject")).toBe(plain.digest);
  });
});

describe('R48: end-7b "PUT by digest with ?tag="', () => {
  test("each tag that is set MUST be named in OCI-Tag; at least ten SHOULD be possible", async () => {
    const repository = fresh();
    const body = index("tags");
    const tags = Array.from({ length: 25 }, (_, i) => `t${String(i).padStart(2, "0")}`);
    const query = tags.map((tag) => `tag=${tag}`).join("&");
    const put = await ask("PUT", `${repository}/manifests/${digestOf(body)}?${query}`, { body });
    expect(put.status).toBe(201);
    expect(put.headers.get("oci-tag")?.split(", ")).toEqual(tags);
    const list = (await (await ask("GET", `${repository}/tags/list`)).json()) as { tags: string[] };
    expect(list.tags).toEqual(tags);
    expect(await (await ask("GET", `${repository}/manifests/t07`)).text()).toBe(body);
  });

  test("a tag that is none is 400, and then none is set", async () => {
    const repository = fresh();
    const body = index("bad tag");
    const put = await ask("PUT", `${repository}/manifests/${digestOf(body)}?tag=good&tag=.bad`, {
      body,
    });
    expect(put.status).toBe(400);
    expect(await errorCode(put)).toBe("TAG_INVALID");
    expect((await ask("HEAD", `${repository}/manifests/good`)).status).toBe(404);
  });

  test("without tags, and in a push by tag, there is no OCI-Tag", async () => {
    const repository = fresh();
    const body = index("plain");
    for (const reference of [digestOf(body), "v1?tag=v2"]) {
      const put = await ask("PUT", `${repository}/manifests/${reference}`, { body });
      expect(put.headers.has("oci-tag")).toBe(false);
    }
    expect((await ask("HEAD", `${repository}/manifests/v2`)).status).toBe(404);
  });
});
