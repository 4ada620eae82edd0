// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { basic, RegistryWorld } from "./registry-world.ts";

const PATH = "/api/v1/registry/policy";

test("R51 operators read the policy, administrators change it, nobody else sees it", async () => {
  await using world = await RegistryWorld.open();
  const { site } = world;
  const status = async (method: string, as: string | null, path = PATH) =>
    (await site.api(method, path, { as, ...(method === "PUT" && { body: {} }) })).status;
  expect(
    await Promise.all(["admin", "operator", "reader", null].map((as) => status("GET", as))),
  ).toEqual([200, 200, 403, 401]);
  expect(
    await Promise.all(["admin", "operator", "reader", null].map((as) => status("PUT", as))),
  ).toEqual([200, 403, 403, 401]);
  for (const path of ["/api/v1/registry/audit", "/api/v1/robots"]) {
    const all = ["admin", "operator", "reader", null].map((as) => status("GET", as, path));
    expect(await Promise.all(all)).toEqual([200, 403, 403, 401]);
  }
});

test("of two who edit the same policy the second is told", async () => {
  await using world = await RegistryWorld.open();
  const { site } = world;
  const policy = { rules: [{ repositories: "os/**", pull: ["anonymous"], quota: "500G" }] };
  const { headers } = await site.api("GET", PATH, { as: "admin" });
  const ifMatch = { "if-match": headers.get("etag") ?? "" };
  const first = await site.api("PUT", PATH, { as: "admin", body: policy, headers: ifMatch });
  expect([first.status, first.body]).toEqual([200, policy]);
  const second = await site.api("PUT", PATH, { as: "admin", body: {}, headers: ifMatch });
  expect([second.status, second.body.error]).toEqual([412, "precondition_failed"]);
  const now = await site.api("GET", PATH, { as: "admin" });
  expect([now.body, now.headers.get("etag")]).toEqual([policy, first.headers.get("etag")]);
  expect(await world.audited()).toEqual([
    `user:admin set-policy done - ${first.headers.get("etag")?.replaceAll('"', "")}`,
  ]);
});

test("everything that is wrong with a policy is said, with its place", async () => {
  await using world = await RegistryWorld.open();
  const body = { readonly: true, rules: [{ repositories: "!x" }] };
  const answer = await world.site.api("PUT", PATH, { as: "admin", body });
  expect([answer.status, answer.body.error]).toEqual([400, "validation_error"]);
  expect(answer.body.details.map(({ path }: { path: string }) => path)).toEqual([
    "/rules/0/repositories",
    "/readonly",
  ]);
});

test("the audit log is read by repository, identity and page", async () => {
  await using world = await RegistryWorld.open();
  await world.push("os/a");
  await world.push("os/b");
  await world.call("DELETE", "os/a/manifests/13", basic("reader"));
  const read = async (query: string) => {
    const { body } = await world.site.api("GET", `/api/v1/registry/audit?${query}`, {
      as: "admin",
    });
    return body;
  };
  const all = await read("");
  expect(all.events).toHaveLength(7);
  expect(all.events[0]).toEqual({
    time: "2026-01-01T00:00:00.000Z",
    identity: "user:reader",
    address: "local",
    action: "delete",
    outcome: "denied",
    repository: "os/a",
    reference: "13",
    reason: "user:reader may not delete here",
  });
  expect((await read("repository=os/b")).events).toHaveLength(3);
  expect((await read("identity=user:reader")).events).toHaveLength(1);
  const first = await read("limit=5");
  const second = await read(`limit=5&before=${first.cursor}`);
  expect([...first.events, ...second.events]).toEqual(all.events);
  for (const query of ["limit=0", "limit=x", "before=../x"]) {
    const { status } = await world.site.api("GET", `/api/v1/registry/audit?${query}`, {
      as: "admin",
    });
    expect([query, status]).toEqual([query, 400]);
  }
});
