// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { realSleep, silentLog } from "../../src/base/deps.ts";
import { openArtifact } from "../../src/dispatcher/artifact.ts";
import type { Envelope } from "../../src/jobs/envelope.ts";
import { pushFile } from "../../src/registry/client/push.ts";
import { serveRegistry } from "../registry/served.ts";
import { ENVELOPE } from "./agent-tree.ts";
import { type Asked, FakeController } from "./fake-controller.ts";

const CONTENT = new Uint8Array(100_000).fill(42);
const OTHER = new Uint8Array(CONTENT.length).fill(43);
const SIGNAL = new AbortController().signal;

/** A registry with `os-images/debian:13`, and an envelope that pins it. */
async function openSite() {
  const served = await serveRegistry();
  const path = `${served.root}/root.tar`;
  const target = {
    registry: served.url,
    repository: "os-images/debian",
    tag: "13",
    authorization: null,
    ca: null,
  };
  const outside = { fetch, sleep: realSleep, now: Date.now, log: silentLog };
  const deps = { ...outside, signal: SIGNAL, onProgress: () => {} };
  /** Moves the tag. @returns the manifest's digest. */
  const push = async (content: Uint8Array): Promise<string> => {
    await Bun.write(path, content);
    return (await pushFile(target, { path }, deps)).digest;
  };
  const digest = await push(CONTENT);
  const artifact = { registry: null, repository: "os-images/debian", reference: "13", digest };
  const envelope: Envelope = { ...ENVELOPE, artifact };
  /** The registry behind whatever name the agent asked for. */
  const pass = ({ url, headers }: Asked) => {
    const { pathname, search } = new URL(url);
    if (pathname === "/healthz") return new Response("ok");
    return served.ask("GET", `${pathname.slice("/v2/".length)}${search}`, { headers });
  };
  return { envelope, pass, push, [Symbol.asyncDispose]: () => served[Symbol.asyncDispose]() };
}

async function pull(envelope: Envelope, controller: FakeController): Promise<Uint8Array> {
  const { stream, size } = await openArtifact(envelope, controller.deps, SIGNAL);
  const bytes = await new Response(stream).bytes();
  expect(bytes).toHaveLength(size);
  return bytes;
}

describe("openArtifact()", () => {
  test("pulls by digest from the controller, with the job's token", async () => {
    await using site = await openSite();
    const controller = new FakeController(site.pass);
    expect(await pull(site.envelope, controller)).toEqual(CONTENT);
    const [health, manifest, ...blobs] = controller.asked;
    expect(health?.url).toBe("http://10.0.0.1:8080/healthz");
    expect(health?.headers.get("authorization")).toBeNull();
    expect(manifest?.url).toEndWith(`/manifests/${site.envelope.artifact?.digest}`);
    for (const asked of [manifest, ...blobs]) {
      expect(asked?.headers.get("authorization")).toBe(`Bearer ${ENVELOPE.token}`);
    }
  });

  test("R39 gets what was pinned, whatever the tag names by now", async () => {
    await using site = await openSite();
    await site.push(OTHER);
    const controller = new FakeController(site.pass);
    expect(await pull(site.envelope, controller)).toEqual(CONTENT);
  });

  test.each(["manifests", "blobs"])("R39 takes nothing else in place of its %s", async (kind) => {
    await using site = await openSite();
    const digest = await site.push(OTHER);
    const controller = new FakeController((asked) => {
      if (!asked.url.includes(`/${kind}/`)) return site.pass(asked);
      if (kind === "blobs") return new Response(OTHER);
      return site.pass({ ...asked, url: asked.url.replace(/[^/]+$/, digest) });
    });
    const error = await pull(site.envelope, controller).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "ARTIFACT_INVALID" });
  });

  test("shows the token to no other registry (R53)", async () => {
    await using site = await openSite();
    const artifact = { ...site.envelope.artifact, registry: "https://registry.example" };
    const controller = new FakeController(site.pass);
    await pull({ ...site.envelope, artifact } as Envelope, controller);
    expect(controller.asked.length).toBeGreaterThan(1);
    for (const { url, headers } of controller.asked) {
      expect(new URL(url).hostname).toBe("registry.example");
      expect(JSON.stringify([...headers])).not.toContain(ENVELOPE.token);
    }
  });

  test("takes the controller's second URL when the first leads nowhere (R34)", async () => {
    await using site = await openSite();
    const controller = new FakeController((asked) =>
      new URL(asked.url).hostname === "10.0.0.1" ? undefined : site.pass(asked),
    );
    expect(await pull(site.envelope, controller)).toEqual(CONTENT);
    expect(controller.slept).toEqual([]);
  });

  test("waits for a controller that is being restarted", async () => {
    await using site = await openSite();
    let calls = 0;
    const controller = new FakeController((asked) => {
      calls++;
      if (calls < 20) return undefined;
      return calls < 24 ? new Response(null, { status: 503 }) : site.pass(asked);
    });
    expect(await pull(site.envelope, controller)).toEqual(CONTENT);
    expect(controller.elapsed).toBeGreaterThan(20_000);
  });

  test("gives up after a quarter of an hour, and names all URLs", async () => {
    await using site = await openSite();
    const controller = new FakeController(() => undefined);
    const error = await pull(site.envelope, controller).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "CONTROLLER_UNREACHABLE",
      message: "Cannot reach the controller at any of http://10.0.0.1:8080, http://10.0.0.2:8080",
    });
    expect(controller.elapsed).toBeGreaterThanOrEqual(900_000);
    expect(controller.elapsed).toBeLessThan(910_000);
  });

  test("says that a job without an artifact has none", async () => {
    const controller = new FakeController();
    await expect(pull({ ...ENVELOPE, artifact: null }, controller)).rejects.toMatchObject({
      code: "ARTIFACT_NOT_FOUND",
    });
  });
});
