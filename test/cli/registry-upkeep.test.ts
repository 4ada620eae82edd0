// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { storePath } from "../../src/registry/storage/layout.ts";
import { pushBlob, pushImage, type Served, text } from "../registry/served.ts";
import { type Ran, World } from "./world.ts";

/** Pushes as an operator of the site. */
function pusher(world: World): Pick<Served, "ask"> {
  const authorization = `Basic ${Buffer.from("operator:operator").toString("base64")}`;
  return {
    ask: (method, path, init) =>
      world.fetch(`http://prov.test/v2/${path}`, {
        ...(init as BunFetchRequestInit),
        method,
        headers: { ...(init?.headers as Record<string, string>), authorization },
      }),
  };
}

/** It asks once a second until it is over. */
async function scrub(world: World): Promise<Ran> {
  const ran = world.run("registry scrub", { as: "admin" });
  let isOver = false;
  void ran.finally(() => {
    isOver = true;
  });
  while (!isOver) await world.site.clock.advance(1000);
  return await ran;
}

describe("prov registry", () => {
  test("gc says what would go, and removes it when it is told so (R50)", async () => {
    await using world = await World.open();
    await pushImage(pusher(world), "os/debian", "13");
    const unused = await pushBlob(pusher(world), "os/debian", text("unused"));
    const spared = await world.run("registry gc", { as: "admin" });
    expect(spared.out).toContain("sparing what came within 24 h");
    expect(spared.out).not.toContain(unused);
    const dry = await world.run("registry gc --dry-run --grace=0s", { as: "admin" });
    expect(dry.out.split("\n")[0]).toBe(`would remove os/debian@${unused}`);
    const real = await world.run("registry gc --grace=0s", { as: "admin" });
    expect(real.out.split("\n")[0]).toBe(`removed os/debian@${unused}`);
    expect(real.out).toContain("blobs         1      6 B");
    const json = await world.run("registry gc --grace=0s --json", { as: "admin" });
    expect(JSON.parse(json.out)).toMatchObject({
      dry_run: false,
      grace_seconds: 0,
      blobs: { count: 0, bytes: 0 },
      removed: [],
    });
  });

  test("is for administrators", async () => {
    await using world = await World.open();
    for (const words of ["registry gc", "registry scrub", "registry du"]) {
      const { code, err } = await world.run(words, { as: "operator" });
      expect([code, err]).toEqual([6, 'prov: The role "operator" may not do this']);
    }
  });

  test("a grace period that is none is refused", async () => {
    await using world = await World.open();
    const { code, err } = await world.run("registry gc --grace=soon", { as: "admin" });
    expect([code, err]).toEqual([
      2,
      'prov: Cannot use --grace: "soon" is not a duration such as 30s, 10m or 4h',
    ]);
  });

  test("du tells what takes the space", async () => {
    await using world = await World.open();
    await pushImage(pusher(world), "a", "v1", { layers: [text("x".repeat(1000))] });
    await pushBlob(pusher(world), "b", text("x".repeat(1000)));
    await pushBlob(pusher(world), "b", text("y".repeat(24)));
    const { out } = await world.run("registry du", { as: "admin" });
    expect(out).toBe(
      [
        "REPOSITORY  TAGS  MANIFESTS  BLOBS  SIZE     ONLY HERE",
        "a           1     1          2      1.4 KiB  390 B",
        "b           0     0          2      1 KiB    24 B",
        "4 contents, each stored once: 1.4 KiB",
        "0 uploads under way: 0 B",
      ].join("\n"),
    );
  });

  test("scrub says that all is well, and fails when it is not", async () => {
    await using world = await World.open();
    await pushImage(pusher(world), "a", "v1", { layers: [text("layer")] });
    const well = await scrub(world);
    expect(well).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^3 contents, \d+ B read, 0 damaged$/),
    });
    const blob = await pushBlob(pusher(world), "a", text("whole"));
    await Bun.write(storePath(join(world.directory, "registry"), blob), "wrong");
    const hurt = await scrub(world);
    expect(hurt.code).toBe(1);
    expect(hurt.out).toContain(`quarantined: ${blob}\n  a\n  kept in `);
  });

  test("rebuild makes the catalog again, of a controller that is stopped", async () => {
    const world = await World.open();
    await using _ = world;
    await pushImage(pusher(world), "a", "v1");
    const flag = `--storage-root=${world.directory}`;
    const running = await world.run(`registry rebuild ${flag}`);
    expect(running.code).toBe(1);
    expect(running.err).toContain("another prov is using it\n  Stop the other one first");
    await world.stopRegistry();
    const { code, out } = await world.run(`registry rebuild ${flag}`);
    expect([code, out.split("\n")[0]]).toEqual([
      0,
      "1 repositories, 1 manifests, 1 tags, 2 blobs, 0 open uploads",
    ]);
    await rename(join(world.directory, "registry"), join(world.directory, "elsewhere"));
    expect((await world.run(`registry rebuild ${flag}`)).err).toContain(
      "there is no such directory",
    );
  });
});
