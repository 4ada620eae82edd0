// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * distribution-spec, "Error Codes". BLOB_UPLOAD_INVALID and SIZE_INVALID are in blob-push.test.ts, and
 * MANIFEST_BLOB_UNKNOWN is only for blobs that go while they are named: manifests may come first.
 */
import { describe, expect, test } from "bun:test";
import { digestOf } from "../../../src/registry/digest.ts";
import { OciError } from "../../../src/registry/oci-error.ts";
import type { Access } from "../../../src/registry/routes/call.ts";
import { exchange } from "../served.ts";
import { oneServer } from "./one-server.ts";

const ABSENT = digestOf("absent");

const accessOf = (request: Request): Access => {
  const identity = request.headers.get("x-user") ?? "anonymous";
  return { identity, may: () => identity === "maker" };
};

const guarded = oneServer({ accessOf });
const open = oneServer();

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly user?: string;
  readonly body?: string;
}
const get = (path: string): Asked => ({ method: "GET", path });
const put = (path: string, body: string): Asked => ({ method: "PUT", path, body });
const post = (query: string, body: string): Asked => ({
  ...{ method: "POST", path: `a/blobs/uploads/${query}`, body },
});

describe("R48: each error of the standard, with its code and its status", () => {
  test.each<[string, number, Asked]>([
    ["BLOB_UNKNOWN", 404, get(`a/blobs/${ABSENT}`)],
    ["BLOB_UPLOAD_UNKNOWN", 404, get("a/blobs/uploads/nope")],
    ["DIGEST_INVALID", 400, post(`?digest=${ABSENT}`, "x")],
    ["MANIFEST_INVALID", 400, put("a/manifests/v1", "{")],
    ["MANIFEST_UNKNOWN", 404, get("a/manifests/nope")],
    ["NAME_INVALID", 400, get("A/tags/list")],
    ["NAME_UNKNOWN", 404, get("nope/tags/list")],
    ["UNAUTHORIZED", 401, { ...get("a/tags/list"), user: "anonymous" }],
    ["DENIED", 403, { ...get("a/tags/list"), user: "guest" }],
    ["UNSUPPORTED", 405, put(`a/blobs/${ABSENT}`, "x")],
    ["UNSUPPORTED", 404, get("a/elsewhere")],
    ["UNSUPPORTED", 404, get("a/manifests/%zz")],
    ["TAG_INVALID", 400, put("a/manifests/.a", "{}")],
  ])("%s is %d", async (code, status, { method, path, user = "maker", body }) => {
    const response = await guarded.ask(method, path, {
      headers: { "x-user": user },
      ...(body !== undefined && { body }),
    });
    expect(response.status).toBe(status);
    expect(response.headers.get("content-type")).toStartWith("application/json");
    // MUST have `errors`, each with a `code`; `message` and `detail` are optional.
    const { errors, ...rest } = (await response.json()) as { errors: { message: string }[] };
    expect(rest).toEqual({});
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({ code });
    expect(errors[0]?.message).toMatch(/\w/);
  });

  test("TOOMANYREQUESTS is 429, and SHOULD say when to come back", async () => {
    const options = { code: "TOOMANYREQUESTS", headers: { "retry-after": "3" } } as const;
    const response = new OciError("slow down", options).toResponse();
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe("3");
    expect(await response.json()).toMatchObject({ errors: [{ code: "TOOMANYREQUESTS" }] });
  });

  test("a method that is not for a path names those that are", async () => {
    const allowed = async (path: string) => (await open.ask("POST", path)).headers.get("allow");
    expect(await allowed(`a/blobs/${ABSENT}`)).toBe("GET, HEAD, DELETE");
    expect(await allowed("a/tags/list")).toBe("GET, HEAD");
    expect(await allowed("a/manifests/v1")).toBe("GET, HEAD, PUT, DELETE");
  });

  test("HEAD of an error has its length and no body", async () => {
    const head = "HEAD /v2/a/tags/list HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const answer = await exchange(open.served().port, head);
    expect(answer).toStartWith("HTTP/1.1 404");
    expect(answer).toEndWith("\r\n\r\n");
  });
});
