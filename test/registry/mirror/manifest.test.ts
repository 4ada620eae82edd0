// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { seconds } from "../../../src/base/units.ts";
import { digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { errorCode, noise, pushImage, type serveRegistry, text } from "../served.ts";
import { openSite, TTL } from "./site.ts";

const MANIFESTS = /manifests\//;
const counts = (site: { mirror: Awaited<ReturnType<typeof serveRegistry>> }) =>
  site.mirror.registry.mirrorCounts()?.requests;

test("a manifest that is not here comes from upstream, byte by byte, and once", async () => {
  await using site = await openSite();
  const { digest, manifest } = await pushImage(site.central, "os/debian", "13");
  for (const reference of ["13", "13", digest]) {
    const answer = await site.mirror.ask("GET", `os/debian/manifests/${reference}`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("docker-content-digest")).toBe(digest);
    expect(answer.headers.get("content-type")).toBe(MEDIA_TYPE.image);
    expect(await answer.text()).toBe(manifest);
  }
  expect(site.link.asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "GET os/debian/manifests/13",
  ]);
  expect(counts(site)).toEqual({ hit: 2, miss: 1, stale: 0, error: 0 });
});

test("HEAD brings it as well, and tells its length", async () => {
  await using site = await openSite();
  const { digest, manifest } = await pushImage(site.central, "os/debian", "13");
  const answer = await site.mirror.ask("HEAD", `os/debian/manifests/${digest}`);
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-length")).toBe(`${manifest.length}`);
});

test("a tag is trusted for its time, then asked for; it follows when it has moved", async () => {
  await using site = await openSite();
  const first = await pushImage(site.central, "os/debian", "13", { layers: [text("one")] });
  const named = async () => {
    const answer = await site.mirror.ask("GET", "os/debian/manifests/13");
    return answer.headers.get("docker-content-digest");
  };
  expect(await named()).toBe(first.digest);
  site.pass(TTL);
  expect(await named()).toBe(first.digest);
  expect(site.link.count("HEAD", MANIFESTS)).toBe(1);
  expect(site.link.count("GET", MANIFESTS)).toBe(1);

  const second = await pushImage(site.central, "os/debian", "13", { layers: [text("two")] });
  expect(await named()).toBe(first.digest);
  site.pass(TTL);
  expect(await named()).toBe(second.digest);
  expect(site.link.count("GET", MANIFESTS)).toBe(2);

  // Back to what is here already: the header of an answer is enough.
  await pushImage(site.central, "os/debian", "13", { layers: [text("one")] });
  site.pass(TTL);
  expect(await named()).toBe(first.digest);
  expect(site.link.count("GET", MANIFESTS)).toBe(2);
});

test("a tag that is gone upstream is gone here; its content stays for those who know the digest", async () => {
  await using site = await openSite();
  const { digest } = await pushImage(site.central, "os/debian", "13");
  await site.mirror.ask("GET", "os/debian/manifests/13");
  await site.central.ask("DELETE", "os/debian/manifests/13");
  site.pass(TTL);
  const gone = await site.mirror.ask("GET", "os/debian/manifests/13");
  expect(gone.status).toBe(404);
  expect(await errorCode(gone)).toBe("MANIFEST_UNKNOWN");
  expect((await site.mirror.ask("GET", `os/debian/manifests/${digest}`)).status).toBe(200);
});

test("what nobody has is unknown, and not remembered as such", async () => {
  await using site = await openSite();
  expect((await site.mirror.ask("GET", "os/debian/manifests/13")).status).toBe(404);
  await pushImage(site.central, "os/debian", "13");
  expect((await site.mirror.ask("GET", "os/debian/manifests/13")).status).toBe(200);
});

test("a page of a proxy does not take a tag away", async () => {
  await using site = await openSite();
  const { digest } = await pushImage(site.central, "os/debian", "13");
  await site.mirror.ask("GET", "os/debian/manifests/13");
  site.link.fault = () => ({ answer: { status: 404, body: "<html>nginx</html>" } });
  site.pass(TTL);
  const answer = await site.mirror.ask("GET", "os/debian/manifests/13");
  expect([answer.status, answer.headers.get("docker-content-digest")]).toEqual([200, digest]);
  expect(counts(site)).toMatchObject({ stale: 1, error: 0 });
});

test("a tag goes also when upstream lets anybody read and nobody see its /v2/", async () => {
  let isOpen = true;
  await using site = await openSite({
    central: {
      accessOf: () =>
        isOpen
          ? { identity: "test", may: () => true }
          : { identity: "anonymous", may: (action, name) => action === "pull" && name !== "" },
    },
  });
  await pushImage(site.central, "os/debian", "13");
  await site.mirror.ask("GET", "os/debian/manifests/13");
  await site.central.ask("DELETE", "os/debian/manifests/13");
  isOpen = false;
  expect((await site.central.ask("GET", "")).status).toBe(401);
  site.pass(TTL);
  expect((await site.mirror.ask("GET", "os/debian/manifests/13")).status).toBe(404);
});

test("a tag that was pushed here is ours, whatever upstream has", async () => {
  await using site = await openSite();
  await pushImage(site.central, "os/debian", "13", { layers: [text("theirs")] });
  await site.mirror.ask("GET", "os/debian/manifests/13");
  const ours = await pushImage(site.mirror, "os/debian", "13", { layers: [text("ours")] });
  expect(ours.response.status).toBe(201);
  site.pass(TTL);
  const answer = await site.mirror.ask("GET", "os/debian/manifests/13");
  expect(answer.headers.get("docker-content-digest")).toBe(ours.digest);
  // Deleting ours makes way for theirs.
  await site.mirror.ask("DELETE", "os/debian/manifests/13");
  const theirs = await site.mirror.ask("GET", "os/debian/manifests/13");
  expect(theirs.headers.get("docker-content-digest")).not.toBe(ours.digest);
});

test("R51: an immutable tag stays as it came, and is not asked for again", async () => {
  await using site = await openSite();
  const rule = { repositories: "os/**", immutable_tags: ["v*"] };
  await site.mirror.registry.setPolicy({ rules: [rule] }, null);
  const first = await pushImage(site.central, "os/debian", "v1", { layers: [text("one")] });
  await site.mirror.ask("GET", "os/debian/manifests/v1");
  await pushImage(site.central, "os/debian", "v1", { layers: [text("two")] });
  site.pass(TTL);
  const answer = await site.mirror.ask("GET", "os/debian/manifests/v1");
  expect(answer.headers.get("docker-content-digest")).toBe(first.digest);
  expect(site.link.asked).toHaveLength(1);
});

test("without upstream the mirror serves what it has, does not wait for it each time, and recovers", async () => {
  await using site = await openSite();
  const { digest } = await pushImage(site.central, "os/debian", "13");
  await site.mirror.ask("GET", "os/debian/manifests/13");
  site.link.up(false);
  site.pass(TTL);
  for (let i = 0; i < 3; i++) {
    const answer = await site.mirror.ask("GET", "os/debian/manifests/13");
    expect(answer.headers.get("docker-content-digest")).toBe(digest);
  }
  expect(counts(site)).toMatchObject({ stale: 3, error: 0 });
  const missing = await site.mirror.ask("GET", "os/other/manifests/13");
  expect(missing.status).toBe(503);
  expect(await errorCode(missing)).toBe("UNAVAILABLE");
  expect(counts(site)).toMatchObject({ stale: 3, error: 1 });

  site.link.up(true);
  const moved = await pushImage(site.central, "os/debian", "13", { layers: [text("new")] });
  site.pass(seconds(31));
  const answer = await site.mirror.ask("GET", "os/debian/manifests/13");
  expect(answer.headers.get("docker-content-digest")).toBe(moved.digest);
});

test("an upstream that does not answer is spared for a while by who can do without it", async () => {
  await using site = await openSite();
  await pushImage(site.central, "os/debian", "13");
  await site.mirror.ask("GET", "os/debian/manifests/13");
  site.link.fault = () => ({ hold: { after: 0, until: new Promise(() => undefined) } });
  site.pass(TTL);
  for (let i = 0; i < 3; i++) {
    expect((await site.mirror.ask("GET", "os/debian/manifests/13")).status).toBe(200);
  }
  expect(site.link.count("HEAD", MANIFESTS)).toBe(1);
  site.pass(seconds(31));
  expect((await site.mirror.ask("GET", "os/debian/manifests/13")).status).toBe(200);
  expect(site.link.count("HEAD", MANIFESTS)).toBe(2);
});

test("what upstream says is not believed: a manifest of another digest is not stored", async () => {
  await using site = await openSite();
  const { digest } = await pushImage(site.central, "os/debian", "13");
  const body = '{"schemaVersion":2,"layers":[],"config":{}}';
  site.link.fault = ({ method }) =>
    method === "GET" ? { answer: { status: 200, body } } : undefined;
  expect((await site.mirror.ask("GET", `os/debian/manifests/${digest}`)).status).toBe(503);
  const headers = { "docker-content-digest": digest };
  site.link.fault = () => ({ answer: { status: 200, body, headers } });
  expect((await site.mirror.ask("GET", "os/debian/manifests/13")).status).toBe(503);
  site.link.fault = () => ({ answer: { status: 200, body: "<html>captive portal</html>" } });
  expect((await site.mirror.ask("GET", "os/debian/manifests/13")).status).toBe(503);
  expect(await site.mirror.registry.repositories()).toEqual([]);
});

test.each([429, 500, 502, 503])(
  "an upstream that answers %d once is asked again",
  async (status) => {
    await using site = await openSite();
    await pushImage(site.central, "os/debian", "13");
    site.link.fault = () => (site.link.asked.length === 1 ? { answer: { status } } : undefined);
    expect((await site.mirror.ask("GET", "os/debian/manifests/13")).status).toBe(200);
    expect(site.link.asked).toHaveLength(2);
  },
);

test("an upstream that is silent is not waited for without end", async () => {
  await using site = await openSite();
  await pushImage(site.central, "os/debian", "13");
  site.link.fault = () => ({ hold: { after: 0, until: new Promise(() => undefined) } });
  expect((await site.mirror.ask("GET", "os/debian/manifests/13")).status).toBe(503);
});

const BASIC = `Basic ${btoa("site-a:secret")}`;

test("R53: only the mirror's own credentials go upstream, and nobody else's", async () => {
  await using site = await openSite({
    upstream: { authorization: BASIC },
    central: {
      accessOf: (request) => {
        const isKnown = request.headers.get("authorization") === BASIC;
        return { identity: isKnown ? "site-a" : "anonymous", may: () => isKnown };
      },
    },
  });
  const asMirror = {
    ask: (m: string, p: string, init?: RequestInit) =>
      site.central.ask(m, p, { ...init, headers: { ...init?.headers, authorization: BASIC } }),
  };
  const { manifest } = await pushImage(asMirror, "os/debian", "13");
  const headers = { authorization: `Basic ${btoa("user:of the mirror")}` };
  const answer = await site.mirror.ask("GET", "os/debian/manifests/13", { headers });
  expect(await answer.text()).toBe(manifest);
  expect([...answer.headers.values()].join()).not.toContain("secret");
  expect(new Set(site.link.asked.map(({ authorization }) => authorization))).toEqual(
    new Set([BASIC]),
  );
});

test("an upstream with the token flow gets its token", async () => {
  await using site = await openSite({ upstream: { authorization: BASIC } });
  await pushImage(site.central, "os/debian", "13");
  const realm = Bun.serve({ port: 0, fetch: () => Response.json({ token: "abc" }) });
  const challenge = `Bearer realm="http://127.0.0.1:${realm.port}/token",service="central"`;
  site.link.fault = ({ authorization }) =>
    authorization === "Bearer abc"
      ? undefined
      : { answer: { status: 401, headers: { "www-authenticate": challenge } } };
  expect((await site.mirror.ask("GET", "os/debian/manifests/13")).status).toBe(200);
  await realm.stop(true);
});

test("wrong credentials upstream are the operator's to see, not a client's 404", async () => {
  await using site = await openSite({ upstream: { authorization: BASIC } });
  site.link.fault = () => ({ answer: { status: 401 } });
  const answer = await site.mirror.ask("GET", "os/debian/manifests/13");
  expect(answer.status).toBe(503);
  expect(await answer.text()).toContain("does not accept the mirror's credentials");
});

test("R51: who may not pull here asks nothing upstream", async () => {
  await using site = await openSite({
    mirror: { accessOf: () => ({ identity: "anonymous", may: () => false }) },
  });
  await pushImage(site.central, "os/debian", "13");
  const digest = digestOf("x");
  for (const path of [
    "os/debian/manifests/13",
    `os/debian/blobs/${digest}`,
    "os/debian/tags/list",
    `os/debian/referrers/${digest}`,
  ]) {
    expect((await site.mirror.ask("GET", path)).status).toBe(401);
  }
  expect(site.link.asked).toEqual([]);
});

test("the upstream's prefix and the globs decide what is asked for, and under which name", async () => {
  await using site = await openSite({
    upstream: { prefix: "site-a/x", repositories: ["os/*", "tools/**"] },
  });
  await pushImage(site.central, "site-a/x/os/debian", "13");
  await pushImage(site.central, "site-a/x/private", "1");
  expect((await site.mirror.ask("GET", "os/debian/manifests/13")).status).toBe(200);
  expect((await site.mirror.ask("GET", "private/manifests/1")).status).toBe(404);
  expect((await site.mirror.ask("GET", "private/tags/list")).status).toBe(404);
  expect(site.link.asked.map(({ path }) => path)).toEqual(["site-a/x/os/debian/manifests/13"]);
});

test("50 clients that ask for the same tag ask upstream once", async () => {
  await using site = await openSite();
  await pushImage(site.central, "os/debian", "13");
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => site.mirror.ask("GET", "os/debian/manifests/13")),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
  expect(site.link.asked).toHaveLength(1);
});

test("tags are upstream's and ours together, in order and by pages", async () => {
  await using site = await openSite();
  for (const tag of ["b", "d", "C", "gone"]) await pushImage(site.central, "os/debian", tag);
  await site.mirror.ask("GET", "os/debian/manifests/gone");
  await site.central.ask("DELETE", "os/debian/manifests/gone");
  await pushImage(site.mirror, "os/debian", "a");
  const list = async (query = "") => {
    const answer = await site.mirror.ask("GET", `os/debian/tags/list${query}`);
    const { tags } = (await answer.json()) as { tags: string[] };
    return { tags, link: answer.headers.get("link") };
  };
  expect(await list()).toEqual({ tags: ["a", "b", "C", "d"], link: null });
  expect(await list("?n=2")).toMatchObject({ tags: ["a", "b"], link: expect.any(String) });
  expect(await list("?n=2&last=b")).toEqual({ tags: ["C", "d"], link: null });
  expect(site.link.count("GET", /tags\/list/)).toBe(1);
  site.link.up(false);
  site.pass(TTL);
  expect(await list()).toEqual({ tags: ["a", "gone"], link: null });
  expect((await site.mirror.ask("GET", "os/other/tags/list")).status).toBe(503);
});

test("a list of tags in pages is read to its end", async () => {
  await using site = await openSite();
  site.link.fault = ({ path }) => {
    const page = Number(/page=(\d)/.exec(path)?.[1] ?? 0);
    const link = `</v2/os/debian/tags/list?page=${page + 1}>; rel="next"`;
    const headers: Record<string, string> = page < 3 ? { link } : {};
    return { answer: { status: 200, body: `{"tags":["t${page}"]}`, headers } };
  };
  const answer = await site.mirror.ask("GET", "os/debian/tags/list");
  expect(await answer.json()).toEqual({ name: "os/debian", tags: ["t0", "t1", "t2", "t3"] });
});

test("the catalog is of what is here", async () => {
  await using site = await openSite();
  await pushImage(site.central, "os/debian", "13");
  await pushImage(site.central, "os/other", "1");
  await site.mirror.ask("GET", "os/debian/manifests/13");
  const answer = await site.mirror.ask("GET", "_catalog");
  expect(await answer.json()).toEqual({ repositories: ["os/debian"] });
});

test("referrers are upstream's and ours together, and stay when upstream goes", async () => {
  await using site = await openSite();
  const { digest } = await pushImage(site.central, "os/debian", "13");
  const refer = { subject: digest };
  const theirs = await pushImage(site.central, "os/debian", "sbom", {
    ...refer,
    artifactType: "x/sbom",
  });
  const ours = await pushImage(site.mirror, "os/debian", "sig", {
    ...refer,
    artifactType: "x/sig",
  });
  const list = async (query = "") => {
    const answer = await site.mirror.ask("GET", `os/debian/referrers/${digest}${query}`);
    const index = (await answer.json()) as { manifests: { digest: string }[] };
    return index.manifests.map((each) => each.digest).sort();
  };
  expect(await list()).toEqual([theirs.digest, ours.digest].sort());
  expect(await list("?artifactType=x/sbom")).toEqual([theirs.digest]);
  expect(site.link.count("GET", /referrers/)).toBe(1);
  site.link.up(false);
  site.pass(TTL);
  expect(await list()).toEqual([theirs.digest, ours.digest].sort());
  const unknown = await site.mirror.ask("GET", `os/debian/referrers/${digestOf("x")}`);
  expect(unknown.status).toBe(503);
});

test("referrers of an upstream without their API are found by the fallback tag", async () => {
  await using site = await openSite();
  const { digest } = await pushImage(site.central, "os/debian", "13");
  const sbom = await pushImage(site.central, "os/debian", "sbom", { subject: digest });
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.index,
    manifests: [{ mediaType: MEDIA_TYPE.image, digest: sbom.digest, size: sbom.manifest.length }],
  });
  await site.central.ask("PUT", `os/debian/manifests/${digest.replace(":", "-")}`, {
    body: index,
    headers: { "content-type": MEDIA_TYPE.index },
  });
  site.link.fault = ({ path }) =>
    path.includes("/referrers/") ? { answer: { status: 404 } } : undefined;
  const answer = await site.mirror.ask("GET", `os/debian/referrers/${digest}`);
  expect(await answer.json()).toMatchObject({ manifests: [{ digest: sbom.digest }] });
});

test("a job's artifact is found upstream with its parts, or the reason why it cannot be", async () => {
  await using site = await openSite();
  const { digest } = await pushImage(site.central, "os-images/debian", "13");
  const { registry } = site.mirror;
  expect(await registry.resolve("os-images/debian", "13")).toMatchObject({ digest, missing: [] });
  expect(await registry.resolve("os-images/debian", "14")).toBeUndefined();
  const unreachable = { code: "REGISTRY_UNREACHABLE" };
  site.link.up(false);
  await expect(registry.resolve("os-images/other", "13")).rejects.toMatchObject(unreachable);
  // Its layer is not here: a server would wait for it in vain.
  await expect(registry.resolve("os-images/debian", "13")).rejects.toMatchObject(unreachable);
  site.link.up(true);
  for (const blob of ["layer", "{}"]) {
    const answer = await site.mirror.ask("GET", `os-images/debian/blobs/${digestOf(blob)}`);
    expect(answer.status).toBe(200);
  }
  site.link.up(false);
  expect(await registry.resolve("os-images/debian", "13")).toMatchObject({ digest, missing: [] });
});

test("a part of a job's artifact that upstream does not have either is missing", async () => {
  await using site = await openSite();
  const absent = digestOf("never pushed");
  const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: absent, size: 2 };
  const { image: mediaType } = MEDIA_TYPE;
  const body = JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [] });
  const headers = { "content-type": mediaType };
  await site.central.ask("PUT", "os-images/half/manifests/1", { body, headers });
  const found = await site.mirror.registry.resolve("os-images/half", "1");
  expect(found).toMatchObject({ missing: [absent] });
});

test("a catalog that is made again still knows which tags are upstream's", async () => {
  await using site = await openSite();
  await pushImage(site.central, "os/debian", "13", { layers: [noise(1000)] });
  await site.mirror.ask("GET", "os/debian/manifests/13");
  const ours = await pushImage(site.mirror, "os/debian", "ours");
  const { root } = site.mirror;
  await site.restart(async () => {
    for (const suffix of ["", "-wal", "-shm"])
      await rm(`${root}/index.db${suffix}`, { force: true });
  });
  const moved = await pushImage(site.central, "os/debian", "13", { layers: [noise(2000)] });
  await pushImage(site.central, "os/debian", "ours", { layers: [noise(3000)] });
  const named = async (tag: string) =>
    (await site.mirror.ask("GET", `os/debian/manifests/${tag}`)).headers.get(
      "docker-content-digest",
    );
  expect(await named("13")).toBe(moved.digest);
  expect(await named("ours")).toBe(ours.digest);
});
