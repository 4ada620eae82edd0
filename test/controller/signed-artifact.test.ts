// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { silentLog } from "../../src/base/deps.ts";
import type { ControllerDeps } from "../../src/controller/ports.ts";
import { type Digest, digestOf } from "../../src/registry/digest.ts";
import { EMPTY_POLICY, NO_RULE, type Policy } from "../../src/registry/policy/policy.ts";
import { createRegistry } from "../../src/registry/registry.ts";
import type { Access } from "../../src/registry/routes/call.ts";
import { signatureTag } from "../../src/registry/signatures/find.ts";
import { pushImage, text } from "../registry/served.ts";
import { ecKey } from "../registry/signatures/keys.ts";
import { attach, BUNDLE, dsse, simple } from "../registry/signatures/signed.ts";
import { temporaryDirectory } from "../store/fresh-store.ts";
import { Crash } from "./crash.ts";
import { RECIPE, Site } from "./site.ts";

const release = ecKey();
const stranger = ecKey();
const REPOSITORY = "os-images/debian";
const TEST: Access = { identity: "test", may: () => true };

const DEMANDING: Policy = {
  ...EMPTY_POLICY,
  keys: { release: release.publicPem, stranger: stranger.publicPem },
  rules: [
    { ...NO_RULE, repositories: "os-images/*", signedBy: ["release"] },
    { ...NO_RULE, repositories: "mirror.example/**", signedBy: ["release"] },
  ],
};

/** A controller in front of a real registry that demands signatures; `policy` can be changed. */
async function open() {
  const directory = temporaryDirectory();
  const registry = await createRegistry({ root: directory.path, log: silentLog, now: Date.now });
  const site = await Site.open();
  const verifying = new Set<Promise<unknown>>();
  // The registry reads real files, and the clock would run away meanwhile.
  const advance = site.clock.advance.bind(site.clock);
  site.clock.advance = async (ms) => {
    await Promise.allSettled(verifying);
    await advance(ms);
  };
  const verify: typeof registry.verify = (...args) => {
    const verdict = registry.verify(...args);
    verifying.add(verdict);
    return verdict;
  };
  const world = {
    site,
    policy: DEMANDING,
    ask: (method: string, path: string, init?: RequestInit) =>
      registry.handle(new Request(`http://x/v2/${path}`, { method, ...init }), TEST),
    async push(tag: string, content: string): Promise<Digest> {
      const { digest } = await pushImage(world, REPOSITORY, tag, { layers: [text(content)] });
      return digest;
    },
    /** Another controller process on the same store. */
    restart: (around: (deps: ControllerDeps) => ControllerDeps = (deps) => deps) =>
      site.startAnother((deps) =>
        around({ ...deps, registry: { ...registry, verify, policy: () => world.policy } }),
      ),
    create: (oci_url = `${REPOSITORY}:13`) =>
      site.api("POST", "/api/v1/jobs", {
        body: { server_serial: "SN1", recipe: { ...RECIPE, oci_url } },
      }),
    async envelope(id: string): Promise<{ artifact: { digest: string } }> {
      return JSON.parse((await site.store.jobs.payload(id))?.envelopeText ?? "null");
    },
    async [Symbol.asyncDispose]() {
      await site[Symbol.asyncDispose]();
      await registry.close();
      directory[Symbol.dispose]();
    },
  };
  world.restart();
  return world;
}

const sign = (world: Awaited<ReturnType<typeof open>>, digest: Digest, key = release) =>
  attach(world, [simple(digest, key)], { tag: signatureTag(digest) ?? "" });

describe("R51 what must be signed", () => {
  test("goes to a job when it is, and the job says by whom", async () => {
    await using world = await open();
    const digest = await world.push("13", "root");
    await sign(world, digest);
    await world.site.controller.start();
    const id = await world.site.createJob();
    await world.site.complete(id);
    expect(await world.site.store.jobs.get(id)).toMatchObject({ outcome: "succeeded" });
    expect(await world.site.story(id)).toContain(
      `The artifact os-images/debian:13 is ${digest}, signed by release\n`,
    );
  });

  test("makes no job when it is not: why, and what to do", async () => {
    await using world = await open();
    const digest = await world.push("13", "root");
    const unsigned = await world.create();
    expect(unsigned.status).toBe(400);
    expect(unsigned.body.details).toEqual([
      {
        path: "/oci_url",
        code: "unsigned",
        message: `Cannot use os-images/debian@${digest}: it must be signed by the key release, and it has no signatures. Sign it with \`prov artifact sign os-images/debian@${digest} --key=FILE\`, or change "signed_by" in the registry's policy.`,
      },
    ]);
    const at = await sign(world, digest, stranger);
    const { body } = await world.create();
    expect(body.details[0].message).toContain(
      `${at}: it was not made by the key release, or has been changed since. Sign it`,
    );
    const plan = await world.site.api("POST", "/api/v1/plan", {
      body: { server_serial: "SN1", recipe: RECIPE },
    });
    expect([plan.status, plan.body.details[0].code]).toEqual([400, "unsigned"]);
    expect(await world.site.store.jobs.list({ limit: 10 })).toMatchObject({ items: [] });
  });

  test("R6 fails a job whose tag has moved to something unsigned meanwhile, and the server is not touched", async () => {
    await using world = await open();
    await sign(world, await world.push("13", "root"));
    const id = await world.site.createJob();
    const digest = await world.push("13", "evil");
    await world.site.controller.start();
    await world.site.complete(id);
    expect(await world.site.store.jobs.get(id)).toMatchObject({
      outcome: "failed",
      failedStep: "artifact.verify",
    });
    const story = await world.site.story(id);
    expect(story).toContain(
      `Cannot use os-images/debian@${digest}: it must be signed by the key release, and it has no signatures`,
    );
    expect(story).toContain("prov artifact sign");
    expect(story).toContain("the server was not touched");
    expect(world.site.server.calls).toEqual([]);
    expect(await world.envelope(id)).toBeNull();
  });

  test("is no longer fit for a job when its key is withdrawn", async () => {
    await using world = await open();
    await sign(world, await world.push("13", "root"));
    const id = await world.site.createJob();
    world.policy = { ...DEMANDING, keys: { release: ecKey().publicPem } };
    await world.site.controller.start();
    await world.site.complete(id);
    expect(await world.site.store.jobs.get(id)).toMatchObject({ failedStep: "artifact.verify" });
    expect(world.site.server.calls).toEqual([]);
  });

  test("may be signed in a bundle, and by any of several keys", async () => {
    await using world = await open();
    const digest = await world.push("13", "root");
    await attach(world, [dsse(digest, stranger)], { subject: digest, artifactType: BUNDLE });
    expect((await world.create()).status).toBe(400);
    const rules = [{ ...NO_RULE, repositories: "**", signedBy: ["release", "stranger"] }];
    world.policy = { ...DEMANDING, rules };
    expect((await world.create()).status).toBe(202);
  });

  test("cannot lie in another registry", async () => {
    await using world = await open();
    const cases: readonly (readonly [string, number])[] = [
      ["elsewhere.example/os-images/debian:13", 400],
      [`elsewhere.example:5000/os-images/debian@${digestOf("x")}`, 400],
      ["mirror.example:5000/anything/else:1", 400],
      ["elsewhere.example/anything/else:1", 202],
    ];
    for (const [url, status] of cases) {
      const { status: got, body } = await world.create(url);
      expect([url, got]).toEqual([url, status]);
      if (got !== 400) continue;
      expect(body.details[0]).toMatchObject({ code: "unsigned" });
      expect(body.details[0].message).toContain(
        "those of another registry cannot be verified here. Copy it",
      );
    }
  });

  test("is nothing where no rule says so", async () => {
    await using world = await open();
    await world.push("13", "root");
    world.policy = EMPTY_POLICY;
    expect((await world.create()).status).toBe(202);
  });
});

describe("R39 a job's artifact is one digest", () => {
  test("whatever its tag names later, in another process too", async () => {
    await using world = await open();
    const digest = await world.push("13", "root");
    await sign(world, digest);
    await world.site.controller.start();
    const id = await world.site.createJob();
    await world.site.until(id, ({ phase }) => phase === "waiting");
    await world.push("13", "another root");
    await world.site.controller.stop();
    world.restart();
    await world.site.controller.start();
    await world.site.complete(id);
    expect((await world.envelope(id)).artifact.digest).toBe(digest);
    expect(await world.site.store.jobs.get(id)).toMatchObject({ outcome: "succeeded" });
  });

  test("when its controller died right after the envelope was written, and the tag is gone since", async () => {
    await using world = await open();
    const digest = await world.push("13", "root");
    await sign(world, digest);
    const crash = new Crash({ moment: "before", transition: "power-off" }, world.site.server);
    world.restart(crash.around);
    await world.site.controller.start();
    const id = await world.site.createJob();
    for (let i = 0; i < 100 && !crash.happened; i++) await world.site.clock.advance(1000);
    expect((await world.envelope(id)).artifact.digest).toBe(digest);
    await world.ask("DELETE", `${REPOSITORY}/manifests/13`);
    world.restart();
    await world.site.controller.start();
    await world.site.complete(id);
    expect(await world.site.store.jobs.get(id)).toMatchObject({ outcome: "succeeded" });
    expect((await world.envelope(id)).artifact.digest).toBe(digest);
    expect(await world.site.story(id)).toContain(`The artifact os-images/debian:13 is ${digest}`);
  });
});
