// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { readManifestBody } from "../../../src/registry/routes/manifest-body.ts";

const request = (init: RequestInit) =>
  new Request("http://registry.invalid/", { method: "PUT", body: "{}", ...init });

test("a body that ends is read", async () => {
  expect(Buffer.from(await readManifestBody(request({}))).toString()).toBe("{}");
  expect(await readManifestBody(new Request("http://registry.invalid/"))).toHaveLength(0);
});

test.each([
  // Bun ends a chunked body whose connection broke as if it were whole, now and then.
  ["whose connection broke as it ended", { signal: AbortSignal.abort() }],
  ["that is shorter than its length", { headers: { "content-length": "3" } }],
  ["that breaks off", { body: broken() }],
])("R49: a body %s is none", async (_, init) => {
  const reading = readManifestBody(request(init));
  await expect(reading).rejects.toMatchObject({ code: "MANIFEST_INVALID", status: 400 });
});

function broken(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode("{}"));
    },
    pull: (controller) => controller.error(new Error("gone")),
  });
}
