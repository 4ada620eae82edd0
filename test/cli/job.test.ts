// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { renderEvent } from "../../src/cli/watch.ts";
import { settle } from "../controller/fake-clock.ts";
import { RECIPE } from "../controller/site.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { World } from "./world.ts";

/** A world with the recipe's artifact in its registry. */
async function openWorld(): Promise<World & { recipe: string }> {
  const world = await World.open();
  const file = await world.file("root.tar", "content");
  await world.run(`artifact push ${file} ${RECIPE.oci_url}`);
  return Object.assign(world, { recipe: await world.file("recipe.json", JSON.stringify(RECIPE)) });
}

async function create(world: World & { recipe: string }): Promise<string> {
  const { code, out, err } = await world.run(`job create SN1 ${world.recipe}`);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const payload = await world.site.store.jobs.payload(out);
  world.site.server.insertTask(out, payload?.token ?? "");
  return out;
}

const user = { PROV_USER: "operator", PROV_PASSWORD: "operator" };

describe("prov job", () => {
  test("create, list, show, logs, cancel and retry", async () => {
    await using world = await openWorld();
    const id = await create(world);
    const busy = await world.run(`job create SN1 ${world.recipe}`);
    expect(busy).toEqual({
      code: 1,
      out: "",
      err: `prov: Server SN1 has an active job: ${id}`,
    });

    const listed = await world.run("job list --status queued --server SN1");
    expect(listed.out.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["JOB", "SERVER", "STATUS", "OUTCOME", "FAILED STEP", "CREATED"],
      [id, "SN1", "queued", "-", "-", "2026-01-01 00:00:00"],
    ]);
    const shown = await world.run(`job show ${id}`);
    expect(shown.code).toBe(0);
    expect(shown.out).toContain("status   queued");
    expect(shown.out).toEndWith("00:00:00  Requested by operator: install-linux.target");
    const events = JSON.parse((await world.run(`job logs ${id} --json`)).out);
    expect((await world.run(`job logs ${id}`)).out.split("\n")).toHaveLength(events.length);

    expect((await world.run(`job retry ${id}`)).err).toContain("is not complete: cancel it first");
    const canceled = await world.run(`job cancel ${id}`);
    expect(canceled).toEqual({ code: 0, out: `${id} canceled`, err: "" });
    await world.site.controller.start();
    await world.site.complete(id);
    expect((await world.run(`job show ${id}`)).code).toBe(4);
    const retried = await world.run(`job retry ${id}`);
    expect(retried.code).toBe(0);
    expect(retried.out).not.toBe(id);
    expect(world.printed).not.toContain("CANARY");
  });

  test("show ends with 3 when the job failed, and says where", async () => {
    await using world = await openWorld();
    world.site.server.script = [
      { progress: [{ type: "checked-in", agent_version: "0.1.0" }] },
      { progress: [{ type: "step-started", step: "partition.service" }] },
      {
        report: {
          status: "failed",
          failed_step: "partition.service",
          error: "Cannot find the disk /dev/sda",
          delivery_id: "d-1",
        },
      },
    ];
    await world.site.controller.start();
    const id = await create(world);
    await world.site.complete(id);
    const { code, out } = await world.run(`job show ${id}`);
    expect(code).toBe(3);
    expect(out).toContain("failed step  partition.service");
    expect(out).toContain("error        Cannot find the disk /dev/sda");
  });

  test.each([
    { words: "job show nope", code: 1, err: 'prov: There is no job "nope"' },
    { words: "job watch nope", code: 1, err: 'prov: There is no job "nope"' },
    {
      words: "job create SN1 /nonexistent.json",
      code: 2,
      err: "prov: Cannot read /nonexistent.json: there is no such file",
    },
    { words: "job create SN9 -", code: 1, err: 'prov: There is no server "SN9"' },
    {
      words: "job list --limit ten",
      code: 2,
      err: "prov: Cannot use --limit: it is not a number",
    },
  ])("prov $words says what is wrong", async ({ words, code, err }) => {
    await using world = await World.open();
    const ran = await world.run(words, { stdin: JSON.stringify(RECIPE) });
    expect(ran).toEqual({ code, out: "", err });
  });

  test("create shows everything that is wrong with a recipe, by JSON pointer (exit code 2)", async () => {
    await using world = await World.open();
    const recipe = { ...RECIPE, target_disk: "/dev/sda1", surprise: true };
    const ran = await world.run("job create SN1 -", { stdin: JSON.stringify(recipe) });
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toStartWith("prov: The recipe is invalid\n  /");
    expect(ran.err).toContain("\n  /target_disk: ");
    expect(ran.err).toContain("\n  /surprise: ");
  });

  test("the same idempotency key makes one job", async () => {
    await using world = await openWorld();
    const words = `job create SN1 ${world.recipe} --idempotency-key k1`;
    expect((await world.run(words)).out).toBe((await world.run(words)).out);
  });
});

describe("prov job watch", () => {
  test("R53: what a program on the server says does not steer the terminal", () => {
    const time = "2026-01-01T04:33:12Z";
    const event = {
      time,
      step: "image-linux.service",
      message: "tar: \u001b[2J\u001b]0;owned\u0007",
    };
    expect(renderEvent(event)).toBe(
      "04:33:12  image-linux.service  tar: \u{fffd}[2J\u{fffd}]0;owned\u{fffd}",
    );
  });

  test("prints every event once and ends with 0 when the job succeeded", async () => {
    await using world = await openWorld();
    await world.site.controller.start();
    const id = await create(world);
    const terminal = new FakeTerminal({ env: user, isInteractive: true });
    const watching = world.runOn(terminal, `job watch ${id}`);
    await world.site.complete(id);
    await world.site.clock.advance(2000);
    const { code, out, err } = await watching;
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const lines = out.split("\n");
    expect(lines.at(-1)).toBe("complete: succeeded");
    const events = await world.site.store.jobs.events(id, 0, 1000);
    expect(lines).toHaveLength(events.length + 1);
    expect(terminal.drawn).toContain(
      "image-linux.service  [###############---------------]  50%  5 B of 10 B",
    );
  });

  test("goes on when the controller was away for a minute, and says so once", async () => {
    await using world = await openWorld();
    await world.site.controller.start();
    const id = await create(world);
    const watching = world.run(`job watch ${id} --json`);
    await world.site.until(id, ({ phase }) => phase === "running");
    world.isAway = true;
    await world.site.clock.advance(60_000);
    world.isAway = false;
    await world.site.complete(id);
    await world.site.clock.advance(2000);
    const { code, out, err } = await watching;
    expect(code).toBe(0);
    const seen = out.split("\n").map((line) => JSON.parse(line).seq);
    const events = await world.site.store.jobs.events(id, 0, 1000);
    expect(seen).toEqual(events.map(({ seq }) => seq));
    expect(err.split("\n")).toEqual([
      expect.stringMatching(/^Cannot reach the controller at .*; trying for 2 min$/),
    ]);
  });

  test("gives up with 5 when the controller stays away", async () => {
    await using world = await openWorld();
    const id = await create(world);
    const watching = world.run(`job watch ${id}`);
    await world.site.clock.advance(5000);
    world.isAway = true;
    await world.site.clock.advance(200_000);
    expect((await watching).code).toBe(5);
  });

  test("ends with 4 when the job was canceled", async () => {
    await using world = await openWorld();
    await world.site.controller.start();
    const id = await create(world);
    const watching = world.run(`job watch ${id}`);
    await world.site.until(id, ({ phase }) => phase === "running");
    await world.run(`job cancel ${id}`);
    await world.site.complete(id);
    await world.site.clock.advance(2000);
    const { code, out } = await watching;
    expect(code).toBe(4);
    expect(out).toEndWith("complete: canceled");
  });

  test("ends at once, with 1, when it is interrupted", async () => {
    await using world = await openWorld();
    const id = await create(world);
    const terminal = new FakeTerminal({ env: user });
    const watching = world.runOn(terminal, `job watch ${id}`);
    await world.site.clock.advance(3000);
    terminal.stop.abort(new DOMException("Stopped by SIGINT", "AbortError"));
    expect(await watching).toMatchObject({ code: 1, err: "" });
  });

  test("create --watch --json prints one document per line", async () => {
    await using world = await openWorld();
    await world.site.controller.start();
    const watching = world.run(`job create SN1 ${world.recipe} --watch --json`);
    const newest = async () => (await world.site.store.jobs.list({ limit: 1 })).items[0]?.id;
    // The registry looks at the artifact on a real disk first.
    while ((await newest()) === undefined) await settle();
    const id = (await newest()) ?? "";
    const payload = await world.site.store.jobs.payload(id);
    world.site.server.insertTask(id, payload?.token ?? "");
    await world.site.complete(id);
    await world.site.clock.advance(2000);
    const { code, out } = await watching;
    expect(code).toBe(0);
    const [receipt, ...events] = out.split("\n").map((line) => JSON.parse(line));
    expect(receipt.job_id).toBe(id);
    expect(events.length).toBeGreaterThan(5);
    expect(world.printed).not.toContain("CANARY");
  });
});
