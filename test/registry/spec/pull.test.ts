// SPDX-License-Identifier: AGPL-3.0-or-later
/** distribution-spec, "Pull": end-1, end-2 and end-3. */
import { describe, expect, test } from "bun:test";
import { digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { errorCode, exchange, noise, pushBlob, pushImage, text } from "../served.ts";
import { oneServer } from "./one-server.ts";

const { ask, fresh, served } = oneServer();
const ABSENT = digestOf("absent");

describe('R48: end-1 "GET /v2/"', () => {
  test.each(["GET", "HEAD"])(
    "%s MUST be 200 where the registry speaks this API",
    async (method) => {
      const response = await ask(method, "");
      expect(response.status).toBe(200);
      expect(response.headers.get("docker-distribution-api-version")).toBe("registry/2.0");
      expect(response.headers.get("content-type")).toStartWith("application/json");
    },
  );

  test("the slash may be left out", async () => {
    expect((await fetch(`${served().url}/v2`)).status).toBe(200);
  });

  test("the legacy version header is on every answer", async () => {
    const response = await ask("GET", "a/manifests/nope");
    expect(response.headers.get("docker-distribution-api-version")).toBe("registry/2.0");
  });
});

describe('R48: end-2 "Pulling blobs"', () => {
  test("GET MUST be 200 with the blob, and MUST name the digest of exactly that", async () => {
    const repository = fresh();
    const bytes = noise(100_000);
    const digest = await pushBlob(served(), repository, bytes);
    const response = await ask("GET", `${repository}/blobs/${digest}`);
    expect(response.status).toBe(200);
    expect(response.headers.get("docker-content-digest")).toBe(digest);
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect(response.headers.get("accept-ranges")).toBe("bytes");
    expect(digestOf(await response.bytes())).toBe(digest);
  });

  test("HEAD MUST be 200 with Content-Length and Docker-Content-Digest, and has no body", async () => {
    const repository = fresh();
    const digest = await pushBlob(served(), repository, noise(1234));
    const raw = await exchange(
      served().port,
      `HEAD /v2/${repository}/blobs/${digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    const [head = "", body] = raw.split("\r\n\r\n");
    expect(head).toStartWith("HTTP/1.1 200");
    expect(head.match(/content-length: (\d+)/gi)).toEqual(["content-length: 1234"]);
    expect(head).toContain(`docker-content-digest: ${digest}`);
    expect(body).toBe("");
  });

  test.each(["GET", "HEAD"])("%s of what is not in this repository MUST be 404", async (method) => {
    const [here, elsewhere] = [fresh(), fresh()];
    const digest = await pushBlob(served(), elsewhere, text("elsewhere"));
    await pushBlob(served(), here, text("here"));
    for (const path of [`${here}/blobs/${digest}`, `${here}/blobs/${ABSENT}`]) {
      const response = await ask(method, path);
      expect(response.status).toBe(404);
      if (method === "GET") expect(await errorCode(response)).toBe("BLOB_UNKNOWN");
    }
    expect((await ask(method, `${fresh()}/blobs/${digest}`)).status).toBe(404);
  });

  const size = 2048;
  const bytes = noise(size);
  test.each([
    ["bytes=500-1499", 206, 500, 1500],
    ["bytes=500-", 206, 500, size],
    ["bytes=-500", 206, size - 500, size],
    ["bytes=-5000", 206, 0, size],
    ["bytes=2000-5000", 206, 2000, size],
    ["bytes=0-0", 206, 0, 1],
    ["bytes=500-0", 416, 0, 0],
    ["bytes=5000-10000", 416, 0, 0],
    ["bytes=2048-", 416, 0, 0],
    ["bytes=-0", 416, 0, 0],
    ["bytes=0-1,3-4", 200, 0, size],
    ["lines=0-1", 200, 0, size],
  ])("SHOULD support Range (RFC 9110, section 14): %s is %d", async (range, status, from, to) => {
    const repository = fresh();
    const digest = await pushBlob(served(), repository, bytes);
    const response = await ask("GET", `${repository}/blobs/${digest}`, { headers: { range } });
    expect(response.status).toBe(status);
    expect(response.headers.get("content-length")).toBe(`${to - from}`);
    const expected = { 200: null, 206: `bytes ${from}-${to - 1}/${size}`, 416: `bytes */${size}` };
    expect(response.headers.get("content-range")).toBe(expected[status as 200]);
    expect(await response.bytes()).toEqual(bytes.slice(from, to));
  });

  test("an empty blob is a blob, and has no part", async () => {
    const repository = fresh();
    const digest = await pushBlob(served(), repository, text(""));
    for (const method of ["GET", "HEAD"]) {
      const response = await ask(method, `${repository}/blobs/${digest}`);
      expect(response.status).toBe(200);
      expect(response.headers.get("content-length")).toBe("0");
    }
    const headers = { range: "bytes=0-" };
    expect((await ask("GET", `${repository}/blobs/${digest}`, { headers })).status).toBe(416);
  });
});

describe('R48: end-3 "Pulling manifests"', () => {
  test("MUST be 200 by tag and by digest, byte for byte, with its digest and its length", async () => {
    const repository = fresh();
    const { digest, manifest } = await pushImage(served(), repository, "v1");
    for (const reference of ["v1", digest, digest.replace(":", "%3A")]) {
      for (const method of ["GET", "HEAD"]) {
        const response = await ask(method, `${repository}/manifests/${reference}`);
        expect(response.status).toBe(200);
        expect(response.headers.get("docker-content-digest")).toBe(digest);
        expect(response.headers.get("content-length")).toBe(`${manifest.length}`);
        expect(await response.text()).toBe(method === "GET" ? manifest : "");
      }
    }
  });

  test.each(["GET", "HEAD"])("%s of what is not there MUST be 404", async (method) => {
    const repository = fresh();
    const { digest } = await pushImage(served(), repository, "v1");
    const elsewhere = fresh();
    await pushImage(served(), elsewhere, "v2", { artifactType: "x/y" });
    for (const path of [
      `${repository}/manifests/v2`,
      `${repository}/manifests/${ABSENT}`,
      `${elsewhere}/manifests/${digest}`,
      `${fresh()}/manifests/v1`,
    ]) {
      const response = await ask(method, path);
      expect(response.status).toBe(404);
      if (method === "GET") expect(await errorCode(response)).toBe("MANIFEST_UNKNOWN");
    }
  });

  test.each([
    ["no Accept", {}],
    ["the right one", { accept: MEDIA_TYPE.image }],
    ["several", { accept: `${MEDIA_TYPE.index}, ${MEDIA_TYPE.image};q=0.5` }],
    ["others only", { accept: MEDIA_TYPE.dockerImage }],
  ])("a manifest has one form, and comes in it: with %s", async (_, headers) => {
    const repository = fresh();
    await pushImage(served(), repository, "v1");
    const response = await ask("GET", `${repository}/manifests/v1`, { headers });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe(MEDIA_TYPE.image);
  });

  test("Content-Type SHOULD be what was pushed, and SHOULD NOT have parameters", async () => {
    const repository = fresh();
    const body = JSON.stringify({ schemaVersion: 2, manifests: [] });
    const headers = { "content-type": "application/vnd.example.own+json; charset=utf-8" };
    await ask("PUT", `${repository}/manifests/own`, { body, headers });
    const response = await ask("GET", `${repository}/manifests/own`);
    expect(response.headers.get("content-type")).toBe("application/vnd.example.own+json");
  });
});

describe("R48: <name> and <tag-or-digest> MUST be in their own forms", () => {
  test.each([
    ["a"],
    ["a/b/c/d/e"],
    ["a.b_c__d-e---f/0"],
    ["a/blobs"],
    ["a/manifests"],
    ["a/blobs/uploads"],
    ["a/tags/list"],
    ["a/referrers"],
    ["v2"],
    ["a".repeat(255)],
    [`${"a/".repeat(127)}a`],
  ])("name %s is one", async (name) => {
    const { digest, manifest } = await pushImage(served(), name, "v1");
    expect(await (await ask("GET", `${name}/manifests/v1`)).text()).toBe(manifest);
    expect((await ask("GET", `${name}/manifests/${digest}`)).status).toBe(200);
    const list = await ask("GET", `${name}/tags/list`);
    expect(await list.json()).toEqual({ name, tags: ["v1"] });
    expect((await ask("GET", `${name}/referrers/${digest}`)).status).toBe(200);
  });

  test.each([
    "A",
    "a//b",
    "-a",
    "a-",
    "a..b",
    "a___b",
    ".a",
    "a/.b",
    "a%2fb",
    "a%2e%2e%2fb",
    "%C3%BC",
    "a%00",
    "a b",
    "_catalog",
    "a:b",
    "a@b",
    "a".repeat(256),
  ])("name %s is none", async (name) => {
    for (const path of ["tags/list", "manifests/v1", `blobs/${ABSENT}`, `referrers/${ABSENT}`]) {
      const response = await ask("GET", `${name}/${path}`);
      expect(response.status).toBe(400);
      expect(await errorCode(response)).toBe("NAME_INVALID");
    }
    expect((await ask("POST", `${name}/blobs/uploads/`)).status).toBe(400);
  });

  const image = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests: [] });
  test.each(["v1", "_", "1.0-rc_1", "UPPER", "a".repeat(128), "sha256-abc"])(
    "tag %s is one",
    async (tag) => {
      const repository = fresh();
      expect((await ask("PUT", `${repository}/manifests/${tag}`, { body: image })).status).toBe(
        201,
      );
      expect(await (await ask("GET", `${repository}/manifests/${tag}`)).text()).toBe(image);
    },
  );

  test.each([".a", "-a", "a%2fb", "a%20b", "a%00", "%C3%BC", "a".repeat(129)])(
    "tag %s is none",
    async (tag) => {
      const repository = fresh();
      const put = await ask("PUT", `${repository}/manifests/${tag}`, { body: image });
      expect(put.status).toBe(400);
      expect(await errorCode(put)).toBe("TAG_INVALID");
      expect((await ask("GET", `${repository}/manifests/${tag}`)).status).toBe(404);
      expect((await ask("DELETE", `${repository}/manifests/${tag}`)).status).toBe(400);
    },
  );

  test.each([
    "sha256:baddigeststring",
    "sha256:",
    `sha256:${"A".repeat(64)}`,
    `sha256:${"a".repeat(63)}`,
    `sha512:${"a".repeat(64)}`,
    `md5:${"a".repeat(32)}`,
    `sha256:${"a".repeat(64)}:x`,
    `sha256:..%2f..%2f${"a".repeat(58)}`,
  ])("digest %s is none: 400", async (digest) => {
    const repository = fresh();
    const asked = [
      ask("GET", `${repository}/blobs/${digest}`),
      ask("GET", `${repository}/manifests/${digest}`),
      ask("GET", `${repository}/referrers/${digest}`),
      ask("PUT", `${repository}/manifests/${digest}`, { body: image }),
      ask("DELETE", `${repository}/blobs/${digest}`),
      ask("POST", `${repository}/blobs/uploads/?digest=${digest}`, { body: "x" }),
    ];
    for (const response of await Promise.all(asked)) {
      expect(response.status).toBe(400);
      expect(await errorCode(response)).toBe("DIGEST_INVALID");
    }
  });
});
