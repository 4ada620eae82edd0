// SPDX-License-Identifier: AGPL-3.0-or-later
/** distribution-spec, "Content Management": end-9 and end-10. */
import { describe, expect, test } from "bun:test";
import { ALGORITHMS, digestOf } from "../../../src/registry/digest.ts";
import { errorCode, pushBlob, pushImage, text } from "../served.ts";
import { oneServer } from "./one-server.ts";

const { ask, fresh, served } = oneServer();

const statusOf = async (path: string) => (await ask("GET", path)).status;

describe('R48: end-9 "Deleting tags and manifests"', () => {
  test("a tag: MUST be 202, the tag is 404 at once, its manifest and the other tags stay", async () => {
    const repository = fresh();
    const { digest } = await pushImage(served(), repository, "v1");
    await pushImage(served(), repository, "v2");
    expect((await ask("DELETE", `${repository}/manifests/v1`)).status).toBe(202);
    expect(await statusOf(`${repository}/manifests/v1`)).toBe(404);
    expect(await statusOf(`${repository}/manifests/${digest}`)).toBe(200);
    const list = await ask("GET", `${repository}/tags/list`);
    expect(await list.json()).toEqual({ name: repository, tags: ["v2"] });
  });

  test("a manifest: MUST be 202, then it and every tag of it is 404, its blobs stay", async () => {
    const repository = fresh();
    const { digest } = await pushImage(served(), repository, "v1");
    await pushImage(served(), repository, "v2");
    const other = await pushImage(served(), repository, "other", { artifactType: "x/y" });
    expect((await ask("DELETE", `${repository}/manifests/${digest}`)).status).toBe(202);
    for (const reference of ["v1", "v2", digest]) {
      expect(await statusOf(`${repository}/manifests/${reference}`)).toBe(404);
    }
    expect(await statusOf(`${repository}/manifests/${other.digest}`)).toBe(200);
    expect(await statusOf(`${repository}/blobs/${digestOf("layer")}`)).toBe(200);
  });

  test("an index may go after what it names, and before", async () => {
    const repository = fresh();
    const { digest, manifest } = await pushImage(served(), repository, "v1");
    const child = { mediaType: "x/y", digest, size: manifest.length };
    const body = JSON.stringify({ schemaVersion: 2, manifests: [child] });
    await ask("PUT", `${repository}/manifests/index`, { body });
    expect((await ask("DELETE", `${repository}/manifests/${digest}`)).status).toBe(202);
    expect((await ask("DELETE", `${repository}/manifests/${digestOf(body)}`)).status).toBe(202);
  });

  test.each([
    ["a tag that is not there", (r: string) => `${r}/manifests/nope`],
    ["a manifest that is not there", (r: string) => `${r}/manifests/${digestOf("nope")}`],
    ["a repository that is not there", () => `${fresh()}/manifests/v1`],
  ])("%s MUST be 404", async (_, path) => {
    const repository = fresh();
    await pushImage(served(), repository, "v1");
    const response = await ask("DELETE", path(repository));
    expect(response.status).toBe(404);
    expect(await errorCode(response)).toBe("MANIFEST_UNKNOWN");
  });

  test.each([`manifests/${digestOf("nope")}`, "manifests/v1", `blobs/${digestOf("nope")}`])(
    "a deletion does not make a repository of one that is not there: %s",
    async (path) => {
      const repository = fresh();
      expect((await ask("DELETE", `${repository}/${path}`)).status).toBe(404);
      const list = await ask("GET", `${repository}/tags/list`);
      expect(list.status).toBe(404);
      expect(await errorCode(list)).toBe("NAME_UNKNOWN");
    },
  );

  test("what is a manifest and a blob is deleted as the one that is meant", async () => {
    const repository = fresh();
    const { digest, manifest } = await pushImage(served(), repository, "v1");
    await pushBlob(served(), repository, text(manifest));
    await ask("DELETE", `${repository}/blobs/${digest}`);
    expect(await (await ask("GET", `${repository}/manifests/v1`)).text()).toBe(manifest);
    await pushBlob(served(), repository, text(manifest));
    await ask("DELETE", `${repository}/manifests/${digest}`);
    expect(await (await ask("GET", `${repository}/blobs/${digest}`)).text()).toBe(manifest);
  });
});

describe('R48: end-10 "Deleting blobs"', () => {
  test.each(ALGORITHMS)(
    "MUST be 202, and the blob is 404 at once; a second time MUST be 404 (%s)",
    async (algorithm) => {
      const repository = fresh();
      const digest = digestOf("blob", algorithm);
      await ask("POST", `${repository}/blobs/uploads/?digest=${digest}`, { body: "blob" });
      expect((await ask("DELETE", `${repository}/blobs/${digest}`)).status).toBe(202);
      expect(await statusOf(`${repository}/blobs/${digest}`)).toBe(404);
      const again = await ask("DELETE", `${repository}/blobs/${digest}`);
      expect(again.status).toBe(404);
      expect(await errorCode(again)).toBe("BLOB_UNKNOWN");
    },
  );

  test("what was deleted can be pushed again", async () => {
    const repository = fresh();
    const digest = await pushBlob(served(), repository, text("again"));
    await ask("DELETE", `${repository}/blobs/${digest}`);
    await pushBlob(served(), repository, text("again"));
    expect(await (await ask("GET", `${repository}/blobs/${digest}`)).text()).toBe("again");
  });
});
