// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { World } from "./world.ts";

const POLICY = `# who may what
rules:
  - repositories: os-images/**
    pull: [anonymous]
    quota: 500G
`;
const admin = { as: "admin" };

describe("prov registry policy", () => {
  test("sets a policy from YAML, and shows it so that it can be edited and set again", async () => {
    await using world = await World.open();
    const file = await world.file("policy.yaml", POLICY);
    expect(await world.run(`registry policy set ${file}`, admin)).toEqual({
      code: 0,
      out: "Policy set",
      err: "",
    });
    const shown = await world.run("registry policy show");
    expect(shown.out).toMatch(/^# version: [0-9a-f]{16}\n/);
    expect(Bun.YAML.parse(shown.out)).toEqual(Bun.YAML.parse(POLICY));
    const json = await world.run("registry policy show --json");
    expect(JSON.parse(json.out)).toEqual(Bun.YAML.parse(POLICY));

    const edited = shown.out.replace("anonymous", "reader");
    const set = (stdin: string) => world.run("registry policy set -", { ...admin, stdin });
    expect((await set(edited)).code).toBe(0);
    // It was edited from a version that is gone.
    expect(await set(edited)).toEqual({
      code: 1,
      out: "",
      err: "prov: The policy has changed meanwhile: read it again",
    });
  });

  test("says everything that is wrong, with its place, and asks no controller for it", async () => {
    await using world = await World.open();
    world.isAway = true;
    const broken = await world.file("broken.json", '{"readonly":true,"rules":[{"pull":[]}]}');
    for (const action of ["check", "set"]) {
      const { code, err } = await world.run(`registry policy ${action} ${broken}`, admin);
      expect(code).toBe(2);
      expect(err).toBe(
        `prov: Cannot use the policy in ${broken}:\n` +
          '  /rules/0: must have "repositories"\n' +
          "  /readonly: is not one of read_only, rate_limit, keys, rules",
      );
    }
    const good = await world.file("good.yaml", POLICY);
    const checked = await world.run(`registry policy check ${good}`, admin);
    expect(checked).toEqual({ code: 0, out: `${good} is a valid policy`, err: "" });
    const nonsense = await world.file("nonsense", "{");
    expect((await world.run(`registry policy check ${nonsense}`)).code).toBe(2);
  });

  test("is changed by administrators only", async () => {
    await using world = await World.open();
    const file = await world.file("policy.yaml", POLICY);
    expect((await world.run(`registry policy set ${file}`)).code).toBe(6);
    expect((await world.run("registry policy show", { as: "reader" })).code).toBe(6);
  });
});

describe("prov robot and prov registry audit", () => {
  test("add, list, rotate and remove a robot, and tell who did", async () => {
    await using world = await World.open();
    const add = "robot add ci --allow os-images/**:pull,push --allow tools/*:pull --expires 90d";
    const added = await world.run(add, admin);
    expect(added.out).toMatch(
      /^user robot\+ci, password CANARY-secret-\d+\nIt is shown this once only\.$/,
    );
    const listed = (await world.run("robot list", admin)).out.split("\n");
    expect(listed.map((line) => line.split(/ {2,}/))).toEqual([
      ["NAME", "MAY", "EXPIRES", "LAST USED"],
      ["ci", "os-images/**:pull,push tools/*:pull", "2026-04-01 00:00:00", "-"],
    ]);
    const rotated = await world.run("robot rotate ci --json", admin);
    expect(JSON.parse(rotated.out)).toEqual({
      name: "ci",
      user: "robot+ci",
      token: expect.stringMatching(/^CANARY-secret-/),
    });
    expect((await world.run("robot rm ci", admin)).out).toBe("ci removed");
    expect((await world.run("robot rm ci", admin)).code).toBe(1);

    const { out } = await world.run("registry audit --identity user:admin --limit 2", admin);
    expect(
      out.split("\n").map((line) => line.replace(/^[-\d]+ [:\d]+/, "TIME").replaceAll(/ +/g, " ")),
    ).toEqual([
      "TIME WHO FROM ACTION OUTCOME WHAT",
      "TIME user:admin local remove-robot done ci",
      "TIME user:admin local rotate-robot done ci",
    ]);
    expect((await world.run("registry audit")).code).toBe(6);
  });

  test("R51 whoever is denied cannot write lines of their own into what the log shows", async () => {
    await using world = await World.open();
    const forged =
      "x\n2026-01-01 00:00:00  user:admin  local  push  done  os/debian:13\u001b[2K\u009b1A";
    const headers = { authorization: `Basic ${btoa("reader:reader")}` };
    const path = `/v2/os/debian/manifests/${encodeURIComponent(forged)}`;
    const denied = await world.fetch(`http://10.0.0.1:8080${path}`, { method: "PUT", headers });
    expect(denied.status).toBe(403);
    const { out } = await world.run("registry audit", admin);
    expect(out.split("\n")).toHaveLength(2);
    expect(out).toContain("user:reader");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
    expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });

  test.each([
    ["no actions", "robot add ci --allow os-images/**"],
    ["a time nobody knows", "robot add ci --allow a:pull --expires soon"],
    ["nothing allowed", "robot add ci"],
    ["an unknown action", "robot add ci --allow a:push,fly"],
  ])("refuses %s", async (_what, words) => {
    await using world = await World.open();
    expect((await world.run(words, admin)).code).toBe(2);
    expect(await world.site.store.robots.list()).toEqual([]);
  });
});
