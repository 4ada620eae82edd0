// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { createAuthenticator } from "../../src/controller/auth/authenticator.ts";
import { mayUse } from "../../src/controller/auth/identity.ts";
import type { RegistryTokens } from "../../src/controller/auth/registry-token.ts";
import { memoryStore } from "../store/fresh-store.ts";
import { FakeClock } from "./fake-clock.ts";
import { Site } from "./site.ts";

const NO_TOKENS: RegistryTokens = {
  issue: () => Promise.reject(new Error("no tokens here")),
  read: () => Promise.resolve(undefined),
};

const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

test("a password is verified once a minute, and not after it was changed", async () => {
  const clock = new FakeClock();
  const store = await memoryStore();
  await store.users.add("ann", "reader", "naïve: password", 0);
  let verified = 0;
  const users = {
    verify: (name: string, password: string) => {
      verified++;
      return store.users.verify(name, password);
    },
    get: (name: string) => store.users.get(name),
  };
  const authenticator = createAuthenticator({ ...store, users } as never, NO_TOKENS, clock.now);
  const login = () => authenticator.authenticate(basic("ann:naïve: password"), "192.0.2.1");
  const answers = await Promise.all([login(), login(), login()]);
  expect(answers[2]).toMatchObject({ kind: "known", identity: { kind: "user", name: "ann" } });
  await login();
  expect(verified).toBe(1);
  await clock.advance(61_000);
  await login();
  expect(verified).toBe(2);
  await store.users.setPassword("ann", "another password", 1);
  authenticator.forget();
  expect(await login()).toEqual({ kind: "refused", name: "user:ann" });
});

test.each([
  ["an empty password", basic("admin:")],
  ["an empty name", basic(":admin")],
  ["both empty", basic(":")],
  ["no colon", basic("admin")],
  ["not base64", "Basic %%%"],
  ["another scheme", "Digest admin"],
  ["an empty token", "Bearer "],
  ["an unknown token", "Bearer x"],
])("R52 %s authenticates nobody", async (_what, authorization) => {
  await using site = await Site.open();
  const { status } = await site.api("GET", "/api/v1/jobs", {
    as: null,
    headers: { authorization },
  });
  expect(status).toBe(401);
});

test("R53 ten wrong passwords block an address for a minute, but not those who are logged in", async () => {
  await using site = await Site.open();
  expect((await site.api("GET", "/api/v1/jobs")).status).toBe(200);
  for (let i = 0; i < 10; i++) {
    const headers = { authorization: basic(`admin:guess-${i}`) };
    expect((await site.api("GET", "/api/v1/jobs", { as: null, headers })).status).toBe(401);
  }
  const blocked = await site.api("GET", "/api/v1/jobs", { as: "admin" });
  expect([blocked.status, blocked.body.error]).toEqual([429, "rate_limited"]);
  expect(blocked.headers.get("retry-after")).toBe("60");
  expect((await site.api("GET", "/api/v1/jobs")).status).toBe(200);
  await site.clock.advance(60_000);
  expect((await site.api("GET", "/api/v1/jobs", { as: "admin" })).status).toBe(200);
});

test("R53 a thousand passwords guessed at once are no more than ten", async () => {
  let verified = 0;
  const users = {
    get: () => Promise.resolve(undefined),
    verify: async (_name: string, password: string) => {
      verified++;
      await Promise.resolve();
      return password === "right" ? { name: "ann", role: "reader", createdAt: 0 } : undefined;
    },
  };
  const authenticator = createAuthenticator({ users } as never, NO_TOKENS, new FakeClock().now);
  const login = (password: string) =>
    authenticator.authenticate(basic(`ann:${password}`), "192.0.2.1");
  const right = await Promise.all(Array.from({ length: 50 }, () => login("right")));
  expect(right.every(({ kind }) => kind === "known")).toBe(true);
  const wrong = await Promise.all(Array.from({ length: 1000 }, (_, i) => login(`guess-${i}`)));
  expect(wrong.filter(({ kind }) => kind === "blocked")).toHaveLength(990);
  expect(verified).toBe(11);
});

test("R51 a password that is being verified while it is changed is the old one", async () => {
  const gate = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  let current = "old";
  const users = {
    get: () => Promise.resolve(undefined),
    async verify(name: string, password: string) {
      const isRight = password === current;
      started.resolve();
      await gate.promise;
      return isRight ? { name, role: "reader", createdAt: 0 } : undefined;
    },
  };
  const authenticator = createAuthenticator({ users } as never, NO_TOKENS, new FakeClock().now);
  const login = async (password: string) =>
    (await authenticator.authenticate(basic(`ann:${password}`), "192.0.2.1")).kind;
  const before = login("old");
  await started.promise;
  current = "new";
  authenticator.forget();
  const after = login("old");
  // By then it waits for the other's verification.
  await setImmediate();
  gate.resolve();
  expect([await before, await after, await login("old")]).toEqual([
    "refused",
    "refused",
    "refused",
  ]);
  expect(await login("new")).toBe("known");
});

test("two administrators who remove each other leave one", async () => {
  await using site = await Site.open();
  await site.store.users.add("eve", "admin", "eve", 0);
  const remove = (name: string, as: string) => site.api("DELETE", `/api/v1/users/${name}`, { as });
  // Nothing to verify any more: both are looked at in the same moment.
  for (const as of ["admin", "eve"]) await site.api("GET", "/api/v1/users", { as });
  const answers = await Promise.all([remove("eve", "admin"), remove("admin", "eve")]);
  expect(answers.map(({ status }) => status)).toEqual([204, 409]);
  expect((await site.store.users.list()).map(({ role }) => role)).toContain("admin");
});

test("R53 a page of another site changes nothing, though the browser adds the password that it remembers", async () => {
  await using site = await Site.open();
  // As a form with enctype="text/plain" sends it.
  const body = '{"name":"eve","role":"admin","password":"12345678","x":"="}';
  const post = async (origin: string | null) => {
    const headers = { authorization: basic("admin:admin"), ...(origin !== null && { origin }) };
    return (await site.api("POST", "/api/v1/users", { as: null, headers, body })).status;
  };
  const origins = ["https://evil.example", "http://127.0.0.1:8081", "null", "nonsense"];
  for (const origin of origins) expect([origin, await post(origin)]).toEqual([origin, 403]);
  expect(await post("http://127.0.0.1:8080")).toBe(201);
  expect(await post(null)).toBe(201);
  const { status } = await site.api("GET", "/healthz", {
    as: null,
    headers: { origin: "https://evil.example" },
  });
  expect(status).toBe(200);
});

test("R53 thirty who log in at once with right passwords all get in, from one proxy's address", async () => {
  const users = {
    get: () => Promise.resolve(undefined),
    verify: async (name: string, password: string) => {
      await Bun.sleep(1);
      return password === name ? { name, role: "reader", createdAt: 0 } : undefined;
    },
  };
  const authenticator = createAuthenticator({ users } as never, NO_TOKENS, new FakeClock().now);
  const kinds = await Promise.all(
    Array.from({ length: 39 }, async (_, i) => {
      const password = i < 9 ? "guess" : `user-${i}`;
      const { kind } = await authenticator.authenticate(
        basic(`user-${i}:${password}`),
        "192.0.2.1",
      );
      return kind;
    }),
  );
  expect(kinds.filter((kind) => kind === "refused")).toHaveLength(9);
  expect(kinds.filter((kind) => kind === "known")).toHaveLength(30);
});

test.each([
  ["reader", "GET", "/api/v1/jobs", true],
  ["reader", "POST", "/api/v1/jobs", false],
  ["reader", "DELETE", "/api/v1/servers/SN1", false],
  ["operator", "PUT", "/api/v1/servers/SN1", true],
  // Of this the registry's policy decides.
  ["reader", "DELETE", "/api/v1/artifacts/os/debian:13", true],
  ["reader", "POST", "/api/v1/artifacts", false],
  ["reader", "DELETE", "/api/v1/artifacts-of-another-kind/x", false],
  ["operator", "GET", "/api/v1/users", false],
  ["operator", "GET", "/api/v1/robots", false],
  ["operator", "GET", "/api/v1/registry/audit", false],
  ["operator", "POST", "/api/v1/registry/gc", false],
  ["operator", "GET", "/api/v1/registry/policy", true],
  ["operator", "PUT", "/api/v1/registry/policy", false],
  ["reader", "GET", "/api/v1/registry/policy", false],
  ["operator", "GET", "/api/v1/users/", false],
  ["admin", "DELETE", "/api/v1/users/ann", true],
] as const)("R1 the role %s: %s %s is %p", (role, method, path, expected) => {
  expect(mayUse(role, method, path)).toBe(expected);
});

test("R53 every answer has the security headers", async () => {
  await using site = await Site.open();
  for (const path of ["/healthz", "/nothing", "/api/v1/jobs", "/m/x/boot.iso"]) {
    const { headers } = await site.api("GET", path, { as: null });
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
  }
});

test("R54 health, readiness, metrics and the licence need no login", async () => {
  await using site = await Site.open();
  const get = (path: string) => site.api("GET", path, { as: null });
  expect((await get("/healthz")).body).toEqual({ ok: true });
  expect((await get("/readyz")).body).toEqual({ ready: true, problems: [] });
  expect((await get("/about")).body).toMatchObject({
    version: "0.1.0",
    license: "AGPL-3.0-or-later",
  });
  await site.createJob();
  const { text } = await get("/metrics");
  expect(text).toContain('prov_build_info{version="0.1.0",commit="abcdef0"} 1\n');
  expect(text).toContain('prov_jobs{status="queued"} 1\n');
  expect(text).toContain('http_requests_total{route="/healthz",code="200"} 1\n');
});
