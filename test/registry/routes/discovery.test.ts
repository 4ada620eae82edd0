// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import type { Access } from "../../../src/registry/routes/call.ts";
import { errorCode, pushBlob, pushImage, type Served, serveRegistry, text } from "../served.ts";

async function tagsOf(
  served: Served,
  query = "",
): Promise<{ tags: string[]; link: string | null }> {
  const response = await served.ask("GET", `a/tags/list${query}`);
  const { tags } = (await response.json()) as { tags: string[] };
  return { tags, link: response.headers.get("link") };
}

describe("R48: discovery", () => {
  test("tags come in order and in pages", async () => {
    await using served = await serveRegistry();
    for (const tag of ["b", "C", "a", "1", "_x"]) await pushImage(served, "a", tag);
    const all = ["1", "_x", "a", "b", "C"];
    expect(await tagsOf(served)).toEqual({ tags: all, link: null });
    const first = await tagsOf(served, "?n=2");
    expect(first.tags).toEqual(["1", "_x"]);
    expect(first.link).toBe('</v2/a/tags/list?n=2&last=_x>; rel="next"');
    expect((await tagsOf(served, "?n=2&last=_x")).tags).toEqual(["a", "b"]);
    expect(await tagsOf(served, "?n=2&last=b")).toEqual({ tags: ["C"], link: null });
    expect((await tagsOf(served, "?n=0")).tags).toEqual([]);
    expect((await served.ask("GET", "a/tags/list?n=x")).status).toBe(400);
  });

  test("referrers of a manifest, filtered by type", async () => {
    await using served = await serveRegistry();
    const { digest: subject } = await pushImage(served, "a", "v1");
    const none = await served.ask("GET", `a/referrers/${subject}`);
    expect(await none.json()).toMatchObject({ schemaVersion: 2, manifests: [] });

    const sbom = await pushImage(served, "a", "sbom", { subject, artifactType: "x/sbom" });
    expect(sbom.response.headers.get("oci-subject")).toBe(subject);
    await pushImage(served, "a", "sig", { subject, artifactType: "x/sig" });
    const all = (await (await served.ask("GET", `a/referrers/${subject}`)).json()) as {
      manifests: unknown[];
    };
    expect(all.manifests).toHaveLength(2);
    const some = await served.ask("GET", `a/referrers/${subject}?artifactType=x/sbom`);
    expect(some.headers.get("oci-filters-applied")).toBe("artifactType");
    expect(some.headers.get("content-type")).toContain("vnd.oci.image.index");
    expect(await some.json()).toMatchObject({
      manifests: [{ digest: sbom.digest, artifactType: "x/sbom", size: sbom.manifest.length }],
    });
    expect((await served.ask("GET", "a/referrers/x")).status).toBe(400);
    await served.ask("DELETE", `a/manifests/${sbom.digest}`);
    const left = await served.ask("GET", `a/referrers/${subject}?artifactType=x/sbom`);
    expect(await left.json()).toMatchObject({ manifests: [] });
  });

  test("deleting a tag leaves the manifest, deleting the manifest takes its tags", async () => {
    await using served = await serveRegistry();
    const { digest } = await pushImage(served, "a", "v1");
    await pushImage(served, "a", "v2");
    expect((await served.ask("DELETE", "a/manifests/v1")).status).toBe(202);
    expect((await tagsOf(served)).tags).toEqual(["v2"]);
    expect((await served.ask("GET", `a/manifests/${digest}`)).status).toBe(200);
    expect((await served.ask("DELETE", `a/manifests/${digest}`)).status).toBe(202);
    expect((await tagsOf(served)).tags).toEqual([]);
    expect((await served.ask("GET", "a/manifests/v2")).status).toBe(404);
  });

  test("deleting a blob frees its space unless another repository has it", async () => {
    await using served = await serveRegistry();
    const digest = await pushBlob(served, "a", text("x"));
    const mounted = await served.ask("POST", `b/blobs/uploads/?mount=${digest}&from=a`);
    expect(mounted.status).toBe(201);
    const hex = digest.slice(7);
    const stored = () => existsSync(`${served.root}/store/sha256/${hex.slice(0, 2)}/${hex}`);
    await served.ask("DELETE", `a/blobs/${digest}`);
    expect((await served.ask("GET", `a/blobs/${digest}`)).status).toBe(404);
    expect(await (await served.ask("GET", `b/blobs/${digest}`)).text()).toBe("x");
    expect(stored()).toBe(true);
    await served.ask("DELETE", `b/blobs/${digest}`);
    expect(stored()).toBe(false);
  });

  test("a repository inside another one's name keeps to itself", async () => {
    await using served = await serveRegistry();
    const names = ["a", "a/b", "a/blobs", "a/blobs/sha256", "a/index.json", "a/oci-layout/x"];
    for (const name of names) await pushImage(served, name, "v1");
    await served.ask("DELETE", "a/manifests/v1");
    for (const name of names.slice(1)) {
      expect((await served.ask("GET", `${name}/manifests/v1`)).status).toBe(200);
    }
    const catalog = await (await served.ask("GET", "_catalog?n=3")).json();
    expect(catalog).toEqual({ repositories: ["a", "a/b", "a/blobs"] });
    expect(await served.registry.repositories()).toEqual(names);
  });
});

describe("R51: access", () => {
  const accessOf = (request: Request): Access => {
    const user = request.headers.get("x-user") ?? "anonymous";
    return {
      identity: user,
      may: (action, repository) =>
        user === "admin" || (action === "pull" && repository.startsWith("public")),
    };
  };

  test("nobody is challenged, somebody is denied", async () => {
    await using served = await serveRegistry({ accessOf });
    const challenged = await served.ask("GET", "");
    expect(challenged.status).toBe(401);
    expect(challenged.headers.get("www-authenticate")).toBe('Basic realm="prov"');
    expect(await errorCode(challenged)).toBe("UNAUTHORIZED");
    const guest = { headers: { "x-user": "guest" } };
    expect((await served.ask("GET", "", guest)).status).toBe(200);
    const denied = await served.ask("POST", "public/a/blobs/uploads/", guest);
    expect(denied.status).toBe(403);
    expect(await errorCode(denied)).toBe("DENIED");
    expect((await served.ask("GET", "public/a/tags/list")).status).toBe(404);
    expect((await served.ask("GET", "secret/a/tags/list")).status).toBe(401);
  });

  test("a mount takes nothing that one may not pull", async () => {
    const admin = { headers: { "x-user": "admin" } };
    await using served = await serveRegistry({
      accessOf: (request) => {
        const access = accessOf(request);
        if (access.identity !== "maker") return access;
        return { identity: "maker", may: (_, repository) => repository === "mine" };
      },
    });
    const body = "hidden";
    const digest = `sha256:${new Bun.CryptoHasher("sha256").update(body).digest("hex")}`;
    await served.ask("POST", `secret/blobs/uploads/?digest=${digest}`, { body, ...admin });
    const maker = { headers: { "x-user": "maker" } };
    for (const from of ["&from=secret", "", "&from=../secret"]) {
      const response = await served.ask(
        "POST",
        `mine/blobs/uploads/?mount=${digest}${from}`,
        maker,
      );
      expect(response.status).toBe(202);
    }
    const response = await served.ask("POST", `mine/blobs/uploads/?mount=${digest}`, admin);
    expect(response.status).toBe(201);
  });
});
