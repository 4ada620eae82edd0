// SPDX-License-Identifier: AGPL-3.0-or-later
/** distribution-spec, "Content Discovery": end-8 and end-12; and `_catalog`, which it only reserves. */
import { describe, expect, test } from "bun:test";
import { ALGORITHMS, digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { errorCode, pushBlob, pushImage, serveRegistry, text } from "../served.ts";
import type { Descriptor } from "./content.ts";
import { oneServer } from "./one-server.ts";
import { type Ask, locationOf } from "./pushing.ts";

const { ask, fresh, served } = oneServer();

/** Where a `Link: <…>; rel="next"` (RFC 8288) leads, below `/v2/`. */
function nextOf(response: Response): string | undefined {
  const [, target] = /^<(.+)>; rel="next"$/.exec(response.headers.get("link") ?? "") ?? [];
  return target && locationOf(new Response(null, { headers: { location: target } }));
}

describe('R48: end-8 "Listing tags"', () => {
  const body = '{"schemaVersion":2,"manifests":[]}';
  async function tagged(...tags: string[]): Promise<string> {
    const repository = fresh();
    for (const tag of tags) await ask("PUT", `${repository}/manifests/${tag}`, { body });
    return repository;
  }
  async function list(path: string) {
    const response = await ask("GET", path);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toStartWith("application/json");
    return {
      ...((await response.json()) as { name: string; tags: string[] }),
      next: nextOf(response),
    };
  }

  test("MUST be 200 with name and tags, in their order", async () => {
    const repository = await tagged("b", "C", "a", "1", "_x", "1.0", "1-0");
    const tags = ["1", "1-0", "1.0", "_x", "a", "b", "C"];
    expect(await list(`${repository}/tags/list`)).toEqual({
      name: repository,
      tags,
      next: undefined,
    });
  });

  test("MUST be 404 for a repository that is not there, and MAY be empty for one that is", async () => {
    const absent = await ask("GET", `${fresh()}/tags/list`);
    expect(absent.status).toBe(404);
    expect(await errorCode(absent)).toBe("NAME_UNKNOWN");
    const repository = fresh();
    await pushBlob(served(), repository, text("x"));
    expect((await list(`${repository}/tags/list`)).tags).toEqual([]);
  });

  test.each([
    ["?n=2", ["a", "b"], true],
    ["?n=5", ["a", "b", "c", "d", "e"], false],
    ["?n=99", ["a", "b", "c", "d", "e"], false],
    ["?n=0", [], false],
    ["?last=b", ["c", "d", "e"], false],
    ["?last=b&n=2", ["c", "d"], true],
    ["?last=c&n=2", ["d", "e"], false],
    ["?last=bb", ["c", "d", "e"], false],
    ["?last=e", [], false],
    ["?last=e&n=3", [], false],
  ])(
    "n MUST bound what comes, last MUST be left out, Link MUST say whether there is more: %s",
    async (query, tags, hasMore) => {
      const repository = await tagged("d", "b", "e", "a", "c");
      const found = await list(`${repository}/tags/list${query}`);
      expect(found.tags).toEqual(tags);
      expect(found.next !== undefined).toBe(hasMore);
    },
  );

  test("following Link gives every tag once", async () => {
    const tags = Array.from({ length: 23 }, (_, i) => `t_${String(i).padStart(2, "0")}`);
    const repository = await tagged(...tags.toReversed());
    const found: string[] = [];
    for (let path: string | undefined = `${repository}/tags/list?n=5`; path !== undefined; ) {
      const page: Awaited<ReturnType<typeof list>> = await list(path);
      expect(page.tags.length).toBeLessThanOrEqual(5);
      found.push(...page.tags);
      path = page.next;
    }
    expect(found).toEqual(tags);
  });

  test.each(["x", "-1", "1.5", "", "99999999999"])("n=%s is no number of tags: 400", async (n) => {
    const repository = await tagged("a");
    expect((await ask("GET", `${repository}/tags/list?n=${n}`)).status).toBe(400);
  });
});

describe('R48: end-12 "Listing referrers"', () => {
  async function list(path: string) {
    const response = await ask("GET", path);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe(MEDIA_TYPE.index);
    const text = await response.text();
    const index = JSON.parse(text) as { manifests: Descriptor[] };
    expect(index).toMatchObject({ schemaVersion: 2, mediaType: MEDIA_TYPE.index });
    const filters = response.headers.get("oci-filters-applied");
    return { manifests: index.manifests, filters, next: nextOf(response), bytes: text.length };
  }

  test.each(ALGORITHMS)(
    "MUST NOT be 404: without referrers it is an empty index (%s)",
    async (algorithm) => {
      const nobody = digestOf("nobody", algorithm);
      const here = fresh();
      await pushImage(served(), here, "v1");
      for (const repository of [here, fresh()]) {
        expect((await list(`${repository}/referrers/${nobody}`)).manifests).toEqual([]);
      }
    },
  );

  test("they are those of this repository, in the order of their digests, whether pushed before or after", async () => {
    const [repository, elsewhere] = [fresh(), fresh()];
    const subject = digestOf("later");
    const pushed: string[] = [];
    for (const type of ["x/a", "x/b", "x/c"]) {
      const options = { subject, artifactType: type };
      pushed.push((await pushImage(served(), repository, type.slice(2), options)).digest);
    }
    await pushImage(served(), elsewhere, "v1", { subject, artifactType: "x/d" });
    const { manifests } = await list(`${repository}/referrers/${subject}`);
    expect(manifests.map(({ digest }): string => digest)).toEqual(pushed.sort());
  });

  test("artifactType filters, and OCI-Filters-Applied MUST say so; several names are no list", async () => {
    const repository = fresh();
    const subject = digestOf("filtered");
    const sbom = await pushImage(served(), repository, "a", {
      subject,
      artifactType: "x/sbom+json",
    });
    await pushImage(served(), repository, "b", { subject, artifactType: "x/signature" });
    const path = `${repository}/referrers/${subject}`;
    const all = await list(path);
    expect(all.manifests).toHaveLength(2);
    expect(all.filters).toBeNull();
    const some = await list(`${path}?artifactType=x%2Fsbom%2Bjson`);
    expect(some.manifests).toMatchObject([{ digest: sbom.digest, artifactType: "x/sbom+json" }]);
    expect(some.filters).toBe("artifactType");
    expect(await list(`${path}?artifactType=x%2Fnone`)).toMatchObject({
      manifests: [],
      filters: "artifactType",
    });
  });

  test("a deleted referrer is no longer listed; one whose subject is deleted still is", async () => {
    const repository = fresh();
    const { digest: subject } = await pushImage(served(), repository, "v1");
    const [one, two] = [
      await pushImage(served(), repository, "one", { subject, artifactType: "x/one" }),
      await pushImage(served(), repository, "two", { subject, artifactType: "x/two" }),
    ];
    await ask("DELETE", `${repository}/manifests/${one.digest}`);
    await ask("DELETE", `${repository}/manifests/${subject}`);
    const { manifests } = await list(`${repository}/referrers/${subject}`);
    expect(manifests.map(({ digest }) => digest)).toEqual([two.digest]);
  });

  test("a list that does not fit into one index MUST come in several, with Link", async () => {
    const repository = fresh();
    const subject = { mediaType: MEDIA_TYPE.image, digest: digestOf("popular"), size: 1 };
    const pushed: { digest: string; artifactType: string }[] = [];
    for (let i = 0; i < 10; i++) {
      const annotations = { i: `${i}`, text: "x".repeat(1_000_000) };
      const artifactType = i % 2 === 1 ? "x/odd" : "x/even";
      const fields = { mediaType: MEDIA_TYPE.index, artifactType, manifests: [] };
      const body = JSON.stringify({ schemaVersion: 2, ...fields, subject, annotations });
      const digest = digestOf(body);
      await ask("PUT", `${repository}/manifests/${digest}`, { body });
      pushed.push({ digest, artifactType });
    }
    const all = await follow(`${repository}/referrers/${subject.digest}`);
    expect(all).toEqual({ found: pushed.map(({ digest }) => digest).sort(), pages: 3 });
    const odd = pushed.filter(({ artifactType }) => artifactType === "x/odd");
    expect(await follow(`${repository}/referrers/${subject.digest}?artifactType=x/odd`)).toEqual({
      found: odd.map(({ digest }) => digest).sort(),
      pages: 2,
    });
  }, 60_000);

  async function follow(start: string): Promise<{ found: string[]; pages: number }> {
    const found: string[] = [];
    let pages = 0;
    for (let path: string | undefined = start; path !== undefined; pages++) {
      const page: Awaited<ReturnType<typeof list>> = await list(path);
      expect(page.bytes).toBeLessThan(4 * 1024 * 1024);
      expect(page.filters).toBe(start.includes("?") ? "artifactType" : null);
      found.push(...page.manifests.map(({ digest }) => digest));
      path = page.next;
    }
    return { found, pages };
  }
});

describe("R48: /v2/_catalog", () => {
  test("lists repositories in their order, in pages", async () => {
    await using own = await serveRegistry();
    for (const name of ["b", "a/c", "a", "a-b"]) await pushBlob(own, name, text("x"));
    const repositories = ["a", "a-b", "a/c", "b"];
    expect(await (await own.ask("GET", "_catalog")).json()).toEqual({ repositories });
    const first = await own.ask("GET", "_catalog?n=3");
    expect(await first.json()).toEqual({ repositories: repositories.slice(0, 3) });
    const second = await own.ask("GET", nextOf(first) ?? "");
    expect(await second.json()).toEqual({ repositories: ["b"] });
    expect(nextOf(second)).toBeUndefined();
  });

  test("is for those who say who they are, and shows what they may pull", async () => {
    await using own = await serveRegistry({
      accessOf: (request) => {
        const identity = request.headers.get("x-user") ?? "anonymous";
        const isMaker = identity === "maker";
        const isOpen = (name: string) => isMaker || !name.startsWith("secret");
        return {
          identity,
          may: (action, name) =>
            action === "list"
              ? identity !== "anonymous"
              : isOpen(name) && (action === "pull" || isMaker),
        };
      },
    });
    const maker = {
      ask: (...[method, path, init]: Parameters<Ask>) =>
        own.ask(method, path, { ...init, headers: { "x-user": "maker" } }),
    };
    for (const name of ["open", "secret/a"]) await pushBlob(maker, name, text("x"));
    const list = async (user?: string) => {
      const headers: Record<string, string> = user === undefined ? {} : { "x-user": user };
      return await own.ask("GET", "_catalog", { headers });
    };
    expect((await own.ask("GET", "")).status).toBe(200);
    const nobody = await list();
    expect(nobody.status).toBe(401);
    expect(nobody.headers.has("www-authenticate")).toBe(true);
    expect(await (await list("guest")).json()).toEqual({ repositories: ["open"] });
    expect(await (await list("maker")).json()).toEqual({ repositories: ["open", "secret/a"] });
  });
});
