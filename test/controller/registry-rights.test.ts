// SPDX-License-Identifier: AGPL-3.0-or-later
/** R51: who × what × which repository → which status, through the whole controller. */
import { describe, expect, test } from "bun:test";
import { basic, digestOf, LAYER, MANIFEST, RegistryWorld } from "./registry-world.ts";

const POLICY = {
  rules: [
    { repositories: "open/**", pull: ["anonymous"] },
    { repositories: "ann/**", pull: ["user:ann"], push: ["user:ann"], delete: ["user:ann"] },
    { repositories: "closed/**", pull: [], push: [], delete: [] },
  ],
};
const REPOSITORIES = ["open/x", "ann/x", "closed/x", "other/x"];

/** Rows: who. Columns: pull, push, delete in each of the repositories above. */
const TABLE: Readonly<Record<string, readonly string[]>> = {
  //            open/x         ann/x          closed/x       other/x
  anonymous: ["200 401 401", "401 401 401", "401 401 401", "401 401 401"],
  reader: ["200 403 403", "403 403 403", "403 403 403", "200 403 403"],
  ann: ["200 403 403", "200 201 202", "403 403 403", "200 403 403"],
  operator: ["200 201 202", "403 403 403", "403 403 403", "200 201 202"],
  admin: ["200 201 202", "200 201 202", "200 201 202", "200 201 202"],
  robot: ["403 403 403", "200 201 403", "403 403 403", "403 403 202"],
};

async function open() {
  const world = await RegistryWorld.open();
  await world.site.store.users.add("ann", "reader", "ann", 0);
  await world.setPolicy(POLICY);
  for (const repository of REPOSITORIES) await world.push(repository);
  const robot = await world.addRobot("ci", [
    { repositories: "ann/**", actions: ["pull", "push"] },
    { repositories: "other/**", actions: ["delete"] },
  ]);
  const credentials = (who: string): string | null => {
    if (who === "anonymous") return null;
    return who === "robot" ? basic("robot+ci", robot) : basic(who);
  };
  return Object.assign(world, { credentials });
}

/** Three statuses for each repository. */
async function statuses(world: RegistryWorld, authorization: string | null): Promise<string[]> {
  const found: string[] = [];
  for (const name of REPOSITORIES) {
    const pull = await world.call("GET", `${name}/manifests/13`, authorization);
    const push = await world.call("PUT", `${name}/manifests/new`, authorization, MANIFEST);
    await world.push(name, "old");
    const remove = await world.call("DELETE", `${name}/manifests/old`, authorization);
    found.push([pull, push, remove].map(({ status }) => status).join(" "));
  }
  return found;
}

describe("R51: the policy's table", () => {
  test.each(Object.entries(TABLE))("with Basic: %s", async (who, expected) => {
    await using world = await open();
    expect(await statuses(world, world.credentials(who))).toEqual([...expected]);
  });

  test.each(Object.entries(TABLE))("with a token for everything: %s", async (who, expected) => {
    await using world = await open();
    const scopes = REPOSITORIES.map((name) => `repository:${name}:pull,push,delete`);
    const token = await world.token(world.credentials(who), ...scopes);
    expect(await statuses(world, token)).toEqual([...expected]);
  });
});

test("R51 every way to a repository's content is one", async () => {
  await using world = await open();
  const digest = digestOf(MANIFEST);
  const layer = digestOf(LAYER);
  const ways: readonly (readonly [string, string])[] = [
    ["GET", `closed/x/manifests/${digest}`],
    ["HEAD", `closed/x/manifests/13`],
    ["GET", `closed/x/blobs/${layer}`],
    ["HEAD", `closed/x/blobs/${layer}`],
    ["GET", "closed/x/tags/list"],
    ["GET", `closed/x/referrers/${digest}`],
    ["POST", "closed/x/blobs/uploads/"],
    ["DELETE", `closed/x/blobs/${layer}`],
  ];
  for (const [method, path] of ways) {
    const answer = await world.call(method, path, basic("operator"));
    expect([method, path, answer.status]).toEqual([method, path, 403]);
  }
  const mount = `other/y/blobs/uploads/?mount=${layer}&from=closed/x`;
  expect((await world.call("POST", mount, basic("operator"))).status).toBe(202);
  const source = `other/y/blobs/uploads/?mount=${layer}&from=open/x`;
  expect((await world.call("POST", source, basic("operator"))).status).toBe(201);
});

test("R51 the catalog and the API show what one may pull", async () => {
  await using world = await open();
  const seen = async (who: string) => {
    const answer = await world.call("GET", "_catalog", world.credentials(who));
    const { repositories } = (await answer.json()) as { repositories?: string[] };
    return repositories ?? answer.status;
  };
  expect(await seen("operator")).toEqual(["open/x", "other/x"]);
  expect(await seen("ann")).toEqual(["ann/x", "open/x", "other/x"]);
  expect(await seen("admin")).toEqual(["ann/x", "closed/x", "open/x", "other/x"]);
  expect(await seen("robot")).toEqual(["ann/x"]);
  expect(await seen("anonymous")).toBe(401);
  const listed = async (as: string) => {
    const { body } = await world.site.api("GET", "/api/v1/artifacts", { as });
    return body.artifacts.map(({ repository }: { repository: string }) => repository);
  };
  expect(await listed("reader")).toEqual(["open/x", "other/x"]);
  expect(await listed("admin")).toEqual(["ann/x", "closed/x", "open/x", "other/x"]);
});

test("R51 the API deletes with the rights of who asks, and nothing immutable or read-only", async () => {
  await using world = await open();
  const remove = async (as: string, name: string) => {
    const { status } = await world.site.api("DELETE", `/api/v1/artifacts/${name}`, { as });
    return status;
  };
  expect(await remove("operator", "ann/x:13")).toBe(403);
  expect(await remove("reader", "other/x:13")).toBe(403);
  expect(await remove("ann", "ann/x:13")).toBe(204);
  await world.setPolicy({ rules: [{ repositories: "**", immutable_tags: ["1*"] }] });
  const refused = await world.site.api("DELETE", "/api/v1/artifacts/other/x:13", { as: "admin" });
  expect([refused.status, refused.body.message]).toEqual([
    403,
    `The registry did not delete "other/x:13": the tag 13 is immutable: it stays at ${digestOf(MANIFEST)}`,
  ]);
  await world.setPolicy({ read_only: true });
  expect(await remove("admin", "other/x:13")).toBe(403);
  await world.setPolicy({});
  expect(await remove("operator", "other/x:13")).toBe(204);
  expect(await world.audited()).toContain("user:operator delete done other/x 13");
});

test("R51 anybody may pull where the setting says so, until a rule says otherwise", async () => {
  await using world = await RegistryWorld.open({ anonymousPull: true });
  await world.push("os/debian");
  const pull = async () => (await world.call("GET", "os/debian/manifests/13", null)).status;
  expect(await pull()).toBe(200);
  // Clients that log in look here for how.
  expect((await world.call("GET", "", null)).status).toBe(401);
  await world.setPolicy({ rules: [{ repositories: "os/**", pull: ["reader"] }] });
  expect(await pull()).toBe(401);
});

test("R53 rates are for each user and each address; a job's agent has none", async () => {
  await using world = await RegistryWorld.open();
  await world.push("os-images/debian");
  await world.setPolicy({ rate_limit: { requests_per_second: 0.01, burst: 2 } });
  const ask = async (who: string | null) =>
    (await world.call("GET", "os-images/debian/tags/list", who === null ? null : basic(who)))
      .status;
  expect([await ask("reader"), await ask("reader"), await ask("reader")]).toEqual([200, 200, 429]);
  expect(await ask("operator")).toBe(200);
  expect([await ask(null), await ask(null), await ask(null)]).toEqual([401, 401, 429]);
  // Tokens are counted as well.
  expect((await world.call("GET", "token", null)).status).toBe(429);
  const id = await world.site.createJob();
  const token = `Bearer ${(await world.site.store.jobs.payload(id))?.token}`;
  for (let i = 0; i < 5; i++) expect((await world.call("GET", "", token)).status).toBe(200);
});
