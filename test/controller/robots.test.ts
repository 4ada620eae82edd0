// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { basic, RegistryWorld } from "./registry-world.ts";

const GRANTS = [{ repositories: "os/**", actions: ["pull", "push"] }];

test("R51 a robot logs in with Basic or its token, and only into the registry", async () => {
  await using world = await RegistryWorld.open();
  await world.push("os/debian");
  const token = await world.addRobot("ci", GRANTS);
  const pull = async (authorization: string) =>
    (await world.call("GET", "os/debian/manifests/13", authorization)).status;
  expect(await pull(basic("robot+ci", token))).toBe(200);
  expect(await pull(`Bearer ${token}`)).toBe(200);
  expect(await pull(basic("robot+other", token))).toBe(401);
  expect(await pull(basic("ci", token))).toBe(401);
  expect(await pull(basic("robot+ci", `${token}x`))).toBe(401);
  for (const authorization of [basic("robot+ci", token), `Bearer ${token}`]) {
    for (const path of ["/api/v1/jobs", "/api/v1/artifacts", "/api/v1/robots", "/api/v1/nothing"]) {
      const { status } = await world.site.api("GET", path, {
        as: null,
        headers: { authorization },
      });
      expect([path, status]).toEqual([path, 403]);
    }
  }
});

test("R51 its token is shown once, and neither the list nor the database has it", async () => {
  await using world = await RegistryWorld.open();
  const token = await world.addRobot("ci", GRANTS, "2026-01-31T00:00:00Z");
  const { text, body } = await world.site.api("GET", "/api/v1/robots", { as: "admin" });
  expect(text).not.toContain(token);
  expect(body.robots).toEqual([
    {
      name: "ci",
      grants: GRANTS,
      created_at: "2026-01-01T00:00:00.000Z",
      expires_at: "2026-01-31T00:00:00.000Z",
      last_used_at: null,
    },
  ]);
  expect(JSON.stringify(await world.site.store.robots.list())).not.toContain(token);
});

test("R51 a robot ends by time, by rotation and by removal, with the tokens it got", async () => {
  await using world = await RegistryWorld.open();
  await world.push("os/debian");
  const { site } = world;
  const pull = async (authorization: string) =>
    (await world.call("GET", "os/debian/manifests/13", authorization)).status;
  const first = await world.addRobot("ci", GRANTS);
  const bearer = await world.token(basic("robot+ci", first), "repository:os/debian:pull");
  expect([await pull(basic("robot+ci", first)), await pull(bearer)]).toEqual([200, 200]);
  await site.clock.advance(1000);
  const rotated = await site.api("POST", "/api/v1/robots/ci/rotate", { as: "admin" });
  expect(rotated.body).toMatchObject({ name: "ci", user: "robot+ci" });
  const second = basic("robot+ci", rotated.body.token);
  expect([await pull(basic("robot+ci", first)), await pull(bearer), await pull(second)]).toEqual([
    401, 401, 200,
  ]);
  const fresh = await world.token(second, "repository:os/debian:pull");
  expect((await site.api("DELETE", "/api/v1/robots/ci", { as: "admin" })).status).toBe(204);
  expect([await pull(second), await pull(fresh)]).toEqual([401, 401]);
  expect((await site.api("DELETE", "/api/v1/robots/ci", { as: "admin" })).status).toBe(404);

  const until = new Date(site.clock.now() + 5000).toISOString();
  const short = await world.addRobot("short", GRANTS, until);
  const given = await world.token(basic("robot+short", short), "repository:os/debian:pull");
  expect([await pull(`Bearer ${short}`), await pull(given)]).toEqual([200, 200]);
  await site.clock.advance(5000);
  expect([await pull(`Bearer ${short}`), await pull(given)]).toEqual([401, 401]);
  expect((await world.audited()).filter((line) => line.includes("-robot"))).toEqual([
    "user:admin add-robot done - short",
    "user:admin remove-robot done - ci",
    "user:admin rotate-robot done - ci",
    "user:admin add-robot done - ci",
  ]);
});

test("R51 read-only and immutable tags are for robots as for everybody", async () => {
  await using world = await RegistryWorld.open();
  await world.push("os/debian", "v1");
  const token = await world.addRobot("ci", [{ repositories: "**", actions: ["push", "delete"] }]);
  const remove = async () =>
    (await world.call("DELETE", "os/debian/manifests/v1", `Bearer ${token}`)).status;
  await world.setPolicy({ rules: [{ repositories: "**", immutable_tags: ["v*"] }] });
  expect(await remove()).toBe(403);
  await world.setPolicy({ read_only: true });
  expect(await remove()).toBe(403);
  await world.setPolicy({});
  expect(await remove()).toBe(202);
});

test("when a robot was last used is known to some minutes", async () => {
  await using world = await RegistryWorld.open();
  const token = await world.addRobot("ci", GRANTS);
  const { clock, store } = world.site;
  const lastUsed = async () => (await store.robots.get("ci"))?.lastUsedAt;
  const start = clock.now();
  for (const after of [0, 60_000, 299_000, 1000]) {
    await clock.advance(after);
    await world.call("GET", "", `Bearer ${token}`);
  }
  expect(await lastUsed()).toBe(start + 359_000);
});

test.each([
  ["a name with a plus", { name: "a+b", grants: GRANTS }, "/name"],
  ["no grants", { name: "ci" }, "/grants"],
  [
    "an unknown action",
    { name: "ci", grants: [{ repositories: "**", actions: ["admin"] }] },
    "/grants/0/actions/0",
  ],
  [
    "a pattern turned round",
    { name: "ci", grants: [{ repositories: "!x", actions: [] }] },
    "/grants/0/repositories",
  ],
  [
    "a time that is over",
    { name: "ci", grants: GRANTS, expires_at: "2025-01-01T00:00:00Z" },
    "/expires_at",
  ],
])("refuses a robot with %s", async (_what, body, path) => {
  await using world = await RegistryWorld.open();
  const answer = await world.site.api("POST", "/api/v1/robots", { as: "admin", body });
  expect([answer.status, answer.body.details[0].path]).toEqual([400, path]);
});

test("a robot's name is taken once", async () => {
  await using world = await RegistryWorld.open();
  await world.addRobot("ci", GRANTS);
  const body = { name: "ci", grants: GRANTS };
  const { status } = await world.site.api("POST", "/api/v1/robots", { as: "admin", body });
  expect(status).toBe(409);
});
