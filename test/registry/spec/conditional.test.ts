// SPDX-License-Identifier: AGPL-3.0-or-later
/** RFC 9110, section 13, which distribution-spec builds on: requests that depend on what is there. */
import { describe, expect, test } from "bun:test";
import { digestOf } from "../../../src/registry/digest.ts";
import { errorCode, pushBlob, pushImage, text } from "../served.ts";
import { oneServer } from "./one-server.ts";

const { ask, fresh, served } = oneServer();
const OTHER = digestOf("other");

describe("R48: conditional GET", () => {
  test.each([
    ["its tag", (d: string) => `"${d}"`, 304],
    ["its tag as a weak one", (d: string) => `W/"${d}"`, 304],
    ["its digest without quotes", (d: string) => d, 304],
    ["a list that has it", (d: string) => `"${OTHER}" , W/"x",  "${d}"`, 304],
    ["anything", () => "*", 304],
    ["another", () => `"${OTHER}"`, 200],
    ["nothing", () => "", 200],
  ])("If-None-Match with %s", async (_, header, status) => {
    const repository = fresh();
    const { digest } = await pushImage(served(), repository, "v1");
    const blob = await pushBlob(served(), repository, text("layer"));
    for (const [path, its] of [
      ["manifests/v1", digest],
      [`manifests/${digest}`, digest],
      [`blobs/${blob}`, blob],
    ] as const) {
      for (const method of ["GET", "HEAD"]) {
        const headers = { "if-none-match": header(its) };
        const response = await ask(method, `${repository}/${path}`, { headers });
        expect(response.status).toBe(status);
        expect(response.headers.get("etag")).toBe(`"${its}"`);
        expect(response.headers.get("docker-content-digest")).toBe(its);
        if (status === 304) expect(await response.text()).toBe("");
      }
    }
  });

  test.each([
    ["its tag", (d: string) => `"${d}"`, 206],
    ["its tag as a weak one, which is not enough", (d: string) => `W/"${d}"`, 200],
    ["another tag", () => `"${OTHER}"`, 200],
    ["a date, which nothing here has", () => "Wed, 21 Oct 2035 07:28:00 GMT", 200],
  ])("If-Range with %s", async (_, header, status) => {
    const repository = fresh();
    const { digest, manifest } = await pushImage(served(), repository, "v1");
    const blob = await pushBlob(served(), repository, text("0123456789"));
    for (const [path, its, whole] of [
      [`blobs/${blob}`, blob, "0123456789"],
      ["manifests/v1", digest, manifest],
    ] as const) {
      const headers = { range: "bytes=2-5", "if-range": header(its) };
      const response = await ask("GET", `${repository}/${path}`, { headers });
      expect(response.status).toBe(status);
      expect(await response.text()).toBe(status === 206 ? whole.slice(2, 6) : whole);
    }
  });
});

describe("R48: conditional push: clients that maintain a tag (the referrers' fallback) do not overwrite each other", () => {
  test.each([
    ["if-match", "what is there", (d: string) => `"${d}"`, true],
    ["if-match", "anything, where there is something", () => "*", true],
    ["if-match", "something else", () => `"${OTHER}"`, false],
    ["if-match", "a weak tag, which is not enough", (d: string) => `W/"${d}"`, false],
    ["if-none-match", "anything, where there is something", () => "*", false],
    ["if-none-match", "what is there", (d: string) => `"${d}"`, false],
    ["if-none-match", "something else", () => `"${OTHER}"`, true],
  ])("%s with %s", async (name, _, header, isMet) => {
    const repository = fresh();
    const first = await pushImage(served(), repository, "v1");
    const headers = { [name]: header(first.digest) };
    const body = JSON.stringify({ schemaVersion: 2, manifests: [], annotations: { a: "b" } });
    const put = await ask("PUT", `${repository}/manifests/v1`, { body, headers });
    expect(put.status).toBe(isMet ? 201 : 412);
    const now = await served().registry.resolve(repository, "v1");
    expect(now?.digest).toBe(isMet ? digestOf(body) : first.digest);
    if (isMet) return;
    expect(put.headers.get("etag")).toBe(`"${first.digest}"`);
    expect(await errorCode(put)).toBe("DENIED");
    // Nothing of it is kept.
    expect((await ask("GET", `${repository}/manifests/${digestOf(body)}`)).status).toBe(404);
    const left = `${served().root}/repos/${repository}/blobs/sha256/${digestOf(body).slice(7)}`;
    expect(await Bun.file(left).exists()).toBe(false);
    for (const path of ["v1", first.digest]) {
      const refused = await ask("DELETE", `${repository}/manifests/${path}`, { headers });
      expect(refused.status).toBe(412);
    }
  });

  test("only one of twenty who create the same tag does", async () => {
    const repository = fresh();
    const headers = { "if-none-match": "*" };
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const body = JSON.stringify({
          schemaVersion: 2,
          manifests: [],
          annotations: { a: `${i}` },
        });
        return (await ask("PUT", `${repository}/manifests/v1`, { body, headers })).status;
      }),
    );
    expect(statuses.filter((status) => status === 201)).toHaveLength(1);
    expect(statuses.filter((status) => status === 412)).toHaveLength(19);
  });

  test("where nothing is, If-Match fails and If-None-Match: * does not", async () => {
    const repository = fresh();
    const put = (headers: Record<string, string>) =>
      ask("PUT", `${repository}/manifests/v1`, {
        body: '{"schemaVersion":2,"manifests":[]}',
        headers,
      });
    expect((await put({ "if-match": "*" })).status).toBe(412);
    expect((await put({ "if-none-match": "*" })).status).toBe(201);
  });
});
