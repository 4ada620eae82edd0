// SPDX-License-Identifier: AGPL-3.0-or-later
/** distribution-spec, "Pushing blobs": end-4, end-5, end-6, end-13 and end-14. */
import { describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { ALGORITHMS, digestOf } from "../../../src/registry/digest.ts";
import { errorCode, exchange, noise, text } from "../served.ts";
import { oneServer } from "./one-server.ts";
import { begin, locationOf, patch, streamed, WAYS } from "./pushing.ts";

const { ask, fresh, served } = oneServer();

const kept = (path: string) =>
  readdir(`${served().root}/uploads`).then((ids) => ids.includes(path.split("/").at(-1) ?? ""));

async function rangeOf(upload: string): Promise<string | null> {
  const response = await ask("GET", upload);
  expect(response.status).toBe(204);
  expect(locationOf(response)).toBe(upload);
  return response.headers.get("range");
}

describe.each(Object.keys(WAYS))("R48: end-4, end-5, end-6, %s:", (name) => {
  const push = WAYS[name] ?? (() => Promise.reject(new Error(name)));

  test.each(
    ALGORITHMS.flatMap((algorithm) =>
      [0, 1, 512, 3067, 300_000].map((size) => [algorithm, size] as const),
    ),
  )("MUST be 201 with a pullable Location: %s of %d bytes", async (algorithm, size) => {
    const repository = fresh();
    const bytes = noise(size);
    const digest = digestOf(bytes, algorithm);
    const response = await push(ask, repository, bytes, digest);
    expect(response.status).toBe(201);
    expect(response.headers.get("docker-content-digest")).toBe(digest);
    const blob = await ask("GET", locationOf(response));
    expect(blob.status).toBe(200);
    expect(await blob.bytes()).toEqual(bytes);
    expect((await ask("HEAD", `${repository}/blobs/${digest}`)).status).toBe(200);
  });

  test.each(ALGORITHMS)(
    "a %s digest that lies SHOULD be 400, and leaves nothing",
    async (algorithm) => {
      const repository = fresh();
      const before = await readdir(`${served().root}/uploads`);
      const wrong = digestOf(`not ${repository}`, algorithm);
      const response = await push(ask, repository, noise(3000), wrong);
      expect(response.status).toBe(400);
      expect(await errorCode(response)).toBe("DIGEST_INVALID");
      expect((await ask("HEAD", `${repository}/blobs/${wrong}`)).status).toBe(404);
      expect(await readdir(`${served().root}/uploads`)).toEqual(before);
    },
  );
});

describe('R48: end-4a "Obtain a session"', () => {
  test("MUST be 202 with a Location that is its own for each upload", async () => {
    const repository = fresh();
    const [one, two] = [await begin(ask, repository), await begin(ask, repository)];
    expect(one).not.toBe(two);
    expect(await rangeOf(one)).toBe("0-0");
    // The slash may be left out.
    expect((await ask("POST", `${repository}/blobs/uploads`)).status).toBe(202);
  });

  test("uploads MUST be possible at the same time: forty of them, equal and different", async () => {
    const repository = fresh();
    const statuses = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const bytes = noise(50_000, i % 8);
        const query = `?digest=${digestOf(bytes)}`;
        return (await ask("POST", `${repository}/blobs/uploads/${query}`, { body: bytes })).status;
      }),
    );
    expect(statuses).toEqual(Array(40).fill(201));
    for (let i = 0; i < 8; i++) {
      const digest = digestOf(noise(50_000, i));
      const pulled = await ask("GET", `${repository}/blobs/${digest}`);
      expect(digestOf(await pulled.bytes())).toBe(digest);
    }
  });
});

describe('R48: end-4c "?digest-algorithm="', () => {
  test.each(ALGORITHMS)("%s is taken, whatever the digest turns out to be", async (algorithm) => {
    for (const final of ALGORITHMS) {
      const repository = fresh();
      const upload = await begin(ask, repository, `?digest-algorithm=${algorithm}`);
      await patch(ask, upload, text("content"), 0);
      const digest = digestOf("content", final);
      expect((await ask("PUT", `${upload}?digest=${digest}`)).status).toBe(201);
    }
  });

  test("an algorithm that is not supported SHOULD be 400", async () => {
    const response = await ask("POST", `${fresh()}/blobs/uploads/?digest-algorithm=md5`);
    expect(response.status).toBe(400);
    expect(await errorCode(response)).toBe("DIGEST_INVALID");
  });
});

describe('R48: end-5 "Upload a chunk"', () => {
  test("MUST be 202 with Location, and Range up to the last byte", async () => {
    const upload = await begin(ask, fresh());
    for (const [first, end] of [
      [0, 1024],
      [1024, 2048],
      [2048, 2049],
    ] as const) {
      const response = await patch(ask, upload, noise(end - first), first);
      expect(response.status).toBe(202);
      expect(locationOf(response)).toBe(upload);
      expect(response.headers.get("range")).toBe(`0-${end - 1}`);
      expect(await rangeOf(upload)).toBe(`0-${end - 1}`);
    }
  });

  test.each([
    ["the first does not begin with 0", 0, "5-9"],
    ["it skips ahead", 5, "6-10"],
    ["it comes again", 5, "0-4"],
    ["it overlaps", 5, "4-8"],
    ["it ends before it begins", 5, "9-5"],
    ["its range is none", 5, "nonsense"],
    ["its range lacks an end", 5, "5-"],
  ])("a chunk out of order MUST be 416, and the upload goes on: %s", async (_, sent, range) => {
    const repository = fresh();
    const upload = await begin(ask, repository);
    const bytes = text("0123456789");
    if (sent > 0) await patch(ask, upload, bytes.slice(0, sent), 0);
    const digest = digestOf(bytes);
    const headers = { "content-range": range };
    // In a PATCH, and likewise in the closing PUT.
    for (const [method, path] of [
      ["PATCH", upload],
      ["PUT", `${upload}?digest=${digest}`],
    ] as const) {
      const response = await ask(method, path, { body: text("xxxxx"), headers });
      expect(response.status).toBe(416);
      expect(locationOf(response)).toBe(upload);
      expect(response.headers.get("range")).toBe(sent > 0 ? `0-${sent - 1}` : "0-0");
      expect(await errorCode(response)).toBe("BLOB_UPLOAD_INVALID");
      expect(await rangeOf(upload)).toBe(sent > 0 ? `0-${sent - 1}` : "0-0");
    }
    expect((await patch(ask, upload, bytes.slice(sent), sent)).status).toBe(202);
    expect((await ask("PUT", `${upload}?digest=${digest}`)).status).toBe(201);
  });

  test("a range that is longer or shorter than the body is refused", async () => {
    const upload = await begin(ask, fresh());
    for (const range of ["0-3", "0-99"]) {
      const init = { body: text("01234"), headers: { "content-range": range } };
      const response = await ask("PATCH", upload, init);
      expect(response.status).toBe(400);
      expect(await errorCode(response)).toBe("SIZE_INVALID");
    }
    expect(await rangeOf(upload)).toBe("0-0");
    const init = { body: streamed(text("01234")), headers: { "content-range": "0-99" } };
    const short = await ask("PATCH", upload, init);
    expect(short.status).toBe(400);
    expect(await errorCode(short)).toBe("BLOB_UPLOAD_INVALID");
    expect(await rangeOf(upload)).toBe("0-4");
  });

  test("HTTP's own form of Content-Range is understood as well", async () => {
    const upload = await begin(ask, fresh());
    const headers = { "content-range": "bytes 0-4/10" };
    expect((await ask("PATCH", upload, { body: "01234", headers })).status).toBe(202);
  });
});

describe('R48: end-6 "Close the session"', () => {
  test.each(["", "?digest=", "?digest=x", `?digest=md5:${"0".repeat(32)}`])(
    "without a digest that can be verified it is 400, and the upload goes on: %s",
    async (query) => {
      const upload = await begin(ask, fresh());
      await patch(ask, upload, text("abc"), 0);
      const response = await ask("PUT", `${upload}${query}`);
      expect(response.status).toBe(400);
      expect(await errorCode(response)).toBe("DIGEST_INVALID");
      expect((await ask("PUT", `${upload}?digest=${digestOf("abc")}`)).status).toBe(201);
    },
  );

  test("afterwards there is no session any more", async () => {
    const repository = fresh();
    const upload = await begin(ask, repository);
    const put = () => ask("PUT", `${upload}?digest=${digestOf("abc")}`, { body: "abc" });
    expect((await put()).status).toBe(201);
    expect(await kept(upload)).toBe(false);
    for (const response of [await put(), await ask("GET", upload), await ask("PATCH", upload)]) {
      expect(response.status).toBe(404);
    }
  });
});

describe("R48: end-13 and end-14, the session itself", () => {
  test.each(["GET", "PATCH", "PUT", "DELETE"])(
    "%s of a session that is not there MUST be 404",
    async (method) => {
      const repository = fresh();
      const upload = await begin(ask, repository);
      for (const path of [
        `${repository}/blobs/uploads/nope`,
        `${repository}/blobs/uploads/..%2f..%2findex.db`,
        upload.replace(repository, fresh()),
      ]) {
        const query = method === "PUT" ? `?digest=${digestOf("x")}` : "";
        const response = await ask(method, path + query);
        expect(response.status).toBe(404);
        if (method !== "GET") expect(await errorCode(response)).toBe("BLOB_UPLOAD_UNKNOWN");
      }
      expect(await rangeOf(upload)).toBe("0-0");
    },
  );

  test("DELETE SHOULD be 204, and what was sent is gone", async () => {
    const upload = await begin(ask, fresh());
    await patch(ask, upload, text("abc"), 0);
    const response = await ask("DELETE", upload, { headers: { "content-length": "0" } });
    expect(response.status).toBe(204);
    expect(await kept(upload)).toBe(false);
    expect((await ask("GET", upload)).status).toBe(404);
    expect((await ask("DELETE", upload)).status).toBe(404);
  });

  test("what is said of it has no body: 202, 204 and 201 come with their headers only", async () => {
    const repository = fresh();
    const upload = await begin(ask, repository);
    const raw = (line: string) =>
      exchange(
        served().port,
        `${line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      );
    for (const line of [
      `POST /v2/${repository}/blobs/uploads/`,
      `PATCH /v2/${upload}`,
      `GET /v2/${upload}`,
      `PUT /v2/${upload}?digest=${digestOf("")}`,
    ]) {
      const answer = await raw(line);
      expect(answer).toMatch(/^HTTP\/1.1 20[124] /);
      expect(answer).toEndWith("\r\n\r\n");
    }
  });
});
