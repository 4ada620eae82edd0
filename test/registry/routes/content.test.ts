// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { digestOf } from "../../../src/registry/digest.ts";
import { MANIFEST_MAX_BYTES, MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { errorCode, exchange, noise, pushBlob, pushImage, serveRegistry, text } from "../served.ts";

const ABSENT = `sha256:${"0".repeat(64)}`;

describe("R48: pull", () => {
  test("/v2/ says that this is a registry", async () => {
    await using served = await serveRegistry();
    const response = await served.ask("GET", "");
    expect(response.status).toBe(200);
    expect(response.headers.get("docker-distribution-api-version")).toBe("registry/2.0");
  });

  test("a blob comes whole, by HEAD and by Range", async () => {
    await using served = await serveRegistry();
    const bytes = noise(100_000);
    const digest = await pushBlob(served, "a/b", bytes);
    const path = `a/b/blobs/${digest}`;

    const whole = await served.ask("GET", path);
    expect(whole.headers.get("docker-content-digest")).toBe(digest);
    expect(whole.headers.get("accept-ranges")).toBe("bytes");
    expect(digestOf(await whole.bytes())).toBe(digest);

    const head = await served.ask("HEAD", path);
    expect(head.status).toBe(200);
    expect(head.headers.get("content-length")).toBe("100000");

    const part = await served.ask("GET", path, { headers: { range: "bytes=10-19" } });
    expect(part.status).toBe(206);
    expect(part.headers.get("content-range")).toBe("bytes 10-19/100000");
    expect(await part.bytes()).toEqual(bytes.slice(10, 20));

    const last = await served.ask("GET", path, { headers: { range: "bytes=-5" } });
    expect(await last.bytes()).toEqual(bytes.slice(-5));

    for (const range of ["bytes=100000-", "bytes=500-0"]) {
      const refused = await served.ask("GET", path, { headers: { range } });
      expect(refused.status).toBe(416);
      expect(refused.headers.get("content-range")).toBe("bytes */100000");
    }
    const known = await served.ask("GET", path, { headers: { "if-none-match": `"${digest}"` } });
    expect(known.status).toBe(304);
  });

  test("an empty blob is a blob", async () => {
    await using served = await serveRegistry();
    const digest = await pushBlob(served, "a", text(""));
    const response = await served.ask("GET", `a/blobs/${digest}`);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-length")).toBe("0");
  });

  test("HTTP/1.0 without a Host is answered", async () => {
    await using served = await serveRegistry();
    const digest = await pushBlob(served, "a", text("hello"));
    const answer = await exchange(served.port, `GET /v2/a/blobs/${digest} HTTP/1.0\r\n\r\n`);
    expect(answer).toStartWith("HTTP/1.1 200");
    expect(answer).toEndWith("hello");
  });

  test("a digest's colon may be escaped", async () => {
    await using served = await serveRegistry();
    const digest = await pushBlob(served, "a", text("hello"));
    const response = await served.ask("HEAD", `a/blobs/${digest.replace(":", "%3A")}`);
    expect(response.status).toBe(200);
  });

  test.each([
    ["GET", `a/blobs/${ABSENT}`, 404, "BLOB_UNKNOWN"],
    ["GET", "a/blobs/sha256:12", 400, "DIGEST_INVALID"],
    ["GET", `a/blobs/md5:${"0".repeat(32)}`, 400, "DIGEST_INVALID"],
    ["GET", "a/manifests/nope", 404, "MANIFEST_UNKNOWN"],
    ["GET", `a/manifests/${ABSENT}`, 404, "MANIFEST_UNKNOWN"],
    ["GET", "a/manifests/sha256:xyz", 400, "DIGEST_INVALID"],
    ["GET", "nope/tags/list", 404, "NAME_UNKNOWN"],
    ["GET", "A/tags/list", 400, "NAME_INVALID"],
    ["GET", "a/%2e%2e%2fb/tags/list", 400, "NAME_INVALID"],
    ["GET", "a/.b/tags/list", 400, "NAME_INVALID"],
    ["GET", "a//b/tags/list", 400, "NAME_INVALID"],
    ["GET", "a/blobs/uploads/nope", 404, "BLOB_UPLOAD_UNKNOWN"],
    ["GET", "a/blobs/uploads/..%2f..%2findex.db", 404, "BLOB_UPLOAD_UNKNOWN"],
    ["PUT", `a/blobs/${ABSENT}`, 405, "UNSUPPORTED"],
    ["GET", "a/elsewhere", 404, "UNSUPPORTED"],
    ["DELETE", "a/manifests/nope", 404, "MANIFEST_UNKNOWN"],
    ["DELETE", `a/blobs/${ABSENT}`, 404, "BLOB_UNKNOWN"],
  ])("%s %s is %d %s", async (method, path, status, code) => {
    await using served = await serveRegistry();
    const response = await served.ask(method, path);
    expect(response.status).toBe(status);
    expect(await errorCode(response)).toBe(code);
  });

  test("dots in a path lead nowhere", async () => {
    await using served = await serveRegistry();
    const answer = await exchange(
      served.port,
      "GET /v2/a/../../../etc/manifests/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    expect(answer).toMatch(/^HTTP\/1.1 40[04]/);
  });

  test("a blob that is damaged on disk is not served", async () => {
    await using served = await serveRegistry();
    const digest = await pushBlob(served, "a", text("hello"));
    await Bun.write(`${served.root}/repos/a/blobs/sha256/${digest.slice(7)}`, "hell");
    expect((await served.ask("GET", `a/blobs/${digest}`)).status).toBe(500);
  });
});

describe("R48: manifests", () => {
  test("come back byte for byte, by tag and by digest", async () => {
    await using served = await serveRegistry();
    const { digest, response, manifest } = await pushImage(served, "a/b", "v1");
    expect(response.status).toBe(201);
    expect(response.headers.get("location")).toBe(`/v2/a/b/manifests/${digest}`);
    for (const reference of ["v1", digest]) {
      const got = await served.ask("GET", `a/b/manifests/${reference}`);
      expect(got.headers.get("content-type")).toBe(MEDIA_TYPE.image);
      expect(got.headers.get("docker-content-digest")).toBe(digest);
      expect(await got.text()).toBe(manifest);
    }
    const head = await served.ask("HEAD", "a/b/manifests/v1");
    expect(head.headers.get("content-length")).toBe(`${manifest.length}`);
    expect(await served.registry.resolve("a/b", "v1")).toEqual({
      digest,
      mediaType: MEDIA_TYPE.image,
      size: manifest.length,
    });
    expect(await served.registry.resolve("a/b", "v2")).toBeUndefined();
  });

  test("sha512 works for blobs and manifests", async () => {
    await using served = await serveRegistry();
    const blob = digestOf("x", "sha512");
    const push = await served.ask("POST", `a/blobs/uploads/?digest=${blob}`, { body: "x" });
    expect(push.status).toBe(201);
    const index = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests: [] });
    const digest = digestOf(index, "sha512");
    const put = await served.ask("PUT", `a/manifests/${digest}?tag=x&tag=y`, { body: index });
    expect(put.headers.get("docker-content-digest")).toBe(digest);
    expect(put.headers.get("oci-tag")).toBe("x, y");
    expect(await (await served.ask("GET", "a/manifests/y")).text()).toBe(index);
  });

  const image = { schemaVersion: 2, mediaType: MEDIA_TYPE.image };
  const config = { mediaType: "x/y", digest: ABSENT, size: 2 };
  test.each([
    ["no JSON", "{", 400, "MANIFEST_INVALID"],
    ["no object", "[]", 400, "MANIFEST_INVALID"],
    ["no config", JSON.stringify({ ...image, layers: [] }), 400, "MANIFEST_INVALID"],
    ["no layers", JSON.stringify({ ...image, config }), 400, "MANIFEST_INVALID"],
    ["schema 1", JSON.stringify({ schemaVersion: 1 }), 400, "MANIFEST_INVALID"],
    [
      "a digest that is none",
      JSON.stringify({ ...image, config: { ...config, digest: "sha256:../../x" }, layers: [] }),
      400,
      "MANIFEST_INVALID",
    ],
    [
      "another type than sent",
      JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests: [] }),
      400,
      "MANIFEST_INVALID",
    ],
    [
      "absent blobs",
      JSON.stringify({ ...image, config, layers: [] }),
      404,
      "MANIFEST_BLOB_UNKNOWN",
    ],
    ["too many bytes", " ".repeat(MANIFEST_MAX_BYTES + 1), 413, "MANIFEST_INVALID"],
  ])("with %s are refused", async (_, body, status, code) => {
    await using served = await serveRegistry();
    const response = await served.ask("PUT", "a/manifests/v1", {
      body,
      headers: { "content-type": MEDIA_TYPE.image },
    });
    expect(response.status).toBe(status);
    expect(await errorCode(response)).toBe(code);
    expect((await served.ask("GET", "a/tags/list")).status).toBe(404);
  });

  test("a blob of another size than said is refused", async () => {
    await using served = await serveRegistry();
    const digest = await pushBlob(served, "a", text("{}"));
    const body = JSON.stringify({ ...image, config: { ...config, digest, size: 3 }, layers: [] });
    const response = await served.ask("PUT", "a/manifests/v1", { body });
    expect(await errorCode(response)).toBe("MANIFEST_INVALID");
  });

  test("pushed by a digest that is not theirs are refused", async () => {
    await using served = await serveRegistry();
    const body = JSON.stringify({ schemaVersion: 2, manifests: [] });
    const response = await served.ask("PUT", `a/manifests/${ABSENT}`, { body });
    expect(await errorCode(response)).toBe("DIGEST_INVALID");
  });

  test("a bad tag is refused", async () => {
    await using served = await serveRegistry();
    const response = await served.ask("PUT", "a/manifests/.bad", { body: "{}" });
    expect(await errorCode(response)).toBe("TAG_INVALID");
  });
});
