// SPDX-License-Identifier: AGPL-3.0-or-later
/** The token flow: how clients get one, what it is good for, and that nothing else passes for one. */
import { describe, expect, test } from "bun:test";
import { sign } from "hono/jwt";
import { basic, digestOf, LAYER, MANIFEST, RegistryWorld } from "./registry-world.ts";

const bearerWorld = () => RegistryWorld.open({ registryAuth: "bearer" });
const challengeOf = (response: Response) => response.headers.get("www-authenticate");

interface Challenge {
  readonly realm: string;
  readonly scope: string | undefined;
  readonly error: string | undefined;
}

function parseChallenge(header: string | null): Challenge {
  const value = (name: string) => new RegExp(`${name}="([^"]+)"`).exec(header ?? "")?.[1];
  return { realm: value("realm") ?? "", scope: value("scope"), error: value("error") };
}

/** As the conformance suite, docker and podman do it: asked, challenged, asked again with a token. */
async function withFlow(
  world: RegistryWorld,
  method: string,
  path: string,
  authorization: string | null,
  body?: string,
): Promise<number> {
  const first = await world.call(method, path, null, body);
  if (first.status !== 401) return first.status;
  const { scope } = parseChallenge(challengeOf(first));
  const token = await world.token(authorization, ...(scope === undefined ? [] : [scope]));
  return (await world.call(method, path, token, body)).status;
}

/** The claims of a token, as anybody can read them. */
function claimsOf(bearer: string) {
  const [, payload = ""] = bearer.replace("Bearer ", "").split(".");
  return JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
}

describe("the challenge of a 401", () => {
  test.each([
    ["GET", "", ""],
    ["GET", "_catalog", ',scope="registry:catalog:*"'],
    ["GET", "os/debian/manifests/13", ',scope="repository:os/debian:pull"'],
    ["HEAD", `os/debian/blobs/${digestOf("x")}`, ',scope="repository:os/debian:pull"'],
    ["POST", "os/debian/blobs/uploads/", ',scope="repository:os/debian:pull,push"'],
    ["PUT", "os/debian/manifests/13", ',scope="repository:os/debian:pull,push"'],
    ["DELETE", "os/debian/manifests/13", ',scope="repository:os/debian:delete"'],
  ])("%s /v2/%s", async (method, path, scope) => {
    await using world = await bearerWorld();
    const answer = await world.call(method, path, null);
    expect([answer.status, challengeOf(answer)]).toEqual([
      401,
      `Bearer realm="http://127.0.0.1:8080/v2/token",service="prov"${scope}`,
    ]);
  });

  test.each([
    ["http://127.0.0.1:8080", "http://127.0.0.1:8080"],
    ["https://prov.example:8443", "https://prov.example:8443"],
    // A proxy ends TLS: the public URL with this host says how the client came.
    ["http://registry.example", "https://registry.example"],
    ["http://10.0.0.1:8080", "http://10.0.0.1:8080"],
  ])("names the token's place as the client sees it: %s", async (base, origin) => {
    await using world = await RegistryWorld.open({
      registryAuth: "bearer",
      publicUrls: ["http://10.0.0.1:8080", "https://registry.example/"],
    });
    const answer = await world.call("GET", "", null, undefined, base);
    expect(parseChallenge(challengeOf(answer)).realm).toBe(`${origin}/v2/token`);
  });

  test("is Basic by default; wrong credentials are told so in either", async () => {
    await using plain = await RegistryWorld.open();
    expect(challengeOf(await plain.call("GET", "", null))).toBe('Basic realm="prov"');
    const wrong = await plain.call("GET", "", basic("admin", "wrong"));
    expect([wrong.status, challengeOf(wrong)]).toEqual([401, 'Basic realm="prov"']);
    await using world = await bearerWorld();
    const stale = await world.call("GET", "", "Bearer nonsense");
    expect([stale.status, parseChallenge(challengeOf(stale)).error]).toEqual([
      401,
      "invalid_token",
    ]);
    expect((await stale.json()) as unknown).toMatchObject({ errors: [{ code: "UNAUTHORIZED" }] });
  });
});

describe("a token", () => {
  test("comes by GET, with the fields that clients look for, and is good for what was asked", async () => {
    await using world = await bearerWorld();
    await world.push("os/debian");
    const query =
      "service=prov&scope=repository:os/debian:pull&account=reader&client_id=docker&offline_token=true";
    const answer = await world.call("GET", `token?${query}`, basic("reader"));
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const body = (await answer.json()) as Record<string, unknown>;
    expect(body).toEqual({
      token: expect.any(String),
      access_token: body.token,
      expires_in: 600,
      issued_at: "2026-01-01T00:00:00.000Z",
    });
    const token = `Bearer ${body.token}`;
    expect(claimsOf(token)).toMatchObject({
      iss: "prov",
      aud: "prov",
      sub: "user:reader",
      access: [{ type: "repository", name: "os/debian", actions: ["pull"] }],
    });
    expect((await world.call("GET", "", token)).status).toBe(200);
    expect((await world.call("GET", "os/debian/manifests/13", token)).status).toBe(200);
  });

  test("comes by POST with grant_type=password, and by no other", async () => {
    await using world = await bearerWorld();
    const post = async (form: Record<string, string>) => {
      const response = await world.site.send(
        new Request("http://127.0.0.1:8080/v2/token", {
          method: "POST",
          body: new URLSearchParams(form),
        }),
      );
      return { status: response.status, body: (await response.json()) as Record<string, string> };
    };
    const form = {
      grant_type: "password",
      service: "prov",
      client_id: "containerd-client",
      scope: "repository:os/debian:pull,push",
    };
    const good = await post({ ...form, username: "operator", password: "operator" });
    expect(good.status).toBe(200);
    expect(claimsOf(`Bearer ${good.body.access_token}`).access[0].actions).toEqual([
      "pull",
      "push",
    ]);
    expect((await post({ ...form, username: "operator", password: "no" })).status).toBe(401);
    const refresh = await post({ ...form, grant_type: "refresh_token", refresh_token: "x" });
    expect(refresh.status).toBe(400);
  });

  test("has of what was asked for what is allowed, and of several scopes each", async () => {
    await using world = await bearerWorld();
    await world.setPolicy({
      rules: [
        { repositories: "os/**", push: ["reader"] },
        { repositories: "closed/**", pull: [] },
      ],
    });
    const token = await world.token(
      basic("reader"),
      "repository:os/a:pull,push,delete repository:closed/b:pull",
      "repository:other/c:*",
      "registry:catalog:*",
      "repository(plugin):os/d:pull",
      "repository:../../etc:pull",
      "repository:os/a%2f..%2fclosed:pull",
      "repository:OS/a:pull",
      "registry:catalog:delete",
    );
    expect(claimsOf(token).access).toEqual([
      { type: "repository", name: "os/a", actions: ["pull", "push"] },
      { type: "repository", name: "other/c", actions: ["pull"] },
      { type: "registry", name: "catalog", actions: ["*"] },
    ]);
  });

  test("fits into a header, whatever is asked for", async () => {
    await using world = await bearerWorld();
    const long = "a".repeat(250);
    const scopes = Array.from({ length: 100 }, (_, i) => `repository:${long}${i}:pull,push,delete`);
    const token = await world.token(basic("admin"), ...scopes);
    expect(claimsOf(token).access).toHaveLength(20);
    expect(token.length).toBeLessThan(12 * 1024);
  });

  test("of nobody is good where anybody may pull", async () => {
    await using world = await bearerWorld();
    await world.push("open/x");
    await world.push("other/x");
    await world.setPolicy({ rules: [{ repositories: "open/**", pull: ["anonymous"] }] });
    const token = await world.token(null, "repository:open/x:pull,push", "registry:catalog:*");
    expect(claimsOf(token).access).toEqual([
      { type: "repository", name: "open/x", actions: ["pull"] },
    ]);
    expect((await world.call("GET", "", token)).status).toBe(200);
    expect((await world.call("GET", "open/x/manifests/13", token)).status).toBe(200);
    expect((await world.call("GET", "_catalog", token)).status).toBe(401);
    const push = await world.call("POST", "open/x/blobs/uploads/", token);
    expect([push.status, parseChallenge(challengeOf(push))]).toMatchObject([
      401,
      { scope: "repository:open/x:pull,push", error: undefined },
    ]);
    await world.push("open/y");
    const other = await world.call("GET", "open/y/manifests/13", token);
    expect([other.status, parseChallenge(challengeOf(other)).error]).toEqual([
      401,
      "insufficient_scope",
    ]);
    // How podman says that it has no credentials.
    expect(claimsOf(await world.token("Basic Og==")).sub).toBe("anonymous");
  });

  test("is not given for wrong credentials, which block their address; nor for another service", async () => {
    await using world = await bearerWorld();
    for (let i = 0; i < 10; i++) {
      const { status } = await world.call("GET", "token", basic("admin", `guess-${i}`));
      expect(status).toBe(401);
    }
    const blocked = await world.call("GET", "token", basic("admin", "another"));
    expect([blocked.status, blocked.headers.get("retry-after")]).toEqual([429, "60"]);
    await world.site.clock.advance(60_000);
    expect((await world.call("GET", "token?service=other", basic("admin"))).status).toBe(400);
    const failed = (await world.audited()).filter((line) => line.includes("login"));
    expect(failed).toHaveLength(10);
    expect(failed[0]).toBe("user:admin login denied - -");
  });

  test("is given neither for a token nor to a job", async () => {
    await using world = await bearerWorld();
    await world.push("os-images/debian");
    const token = await world.token(basic("reader"), "repository:os/a:pull");
    expect((await world.call("GET", "token?scope=repository:os/b:pull", token)).status).toBe(401);
    const id = await world.site.createJob();
    const job = `Bearer ${(await world.site.store.jobs.payload(id))?.token}`;
    expect((await world.call("GET", "token", job)).status).toBe(401);
  });
});

describe("with a token", () => {
  test("the whole of a push works as clients do it, mounts among it", async () => {
    await using world = await bearerWorld();
    await world.push("os/base");
    const operator = basic("operator");
    const flow = (method: string, path: string, body?: string) =>
      withFlow(world, method, path, operator, body);
    expect(await flow("GET", "")).toBe(200);
    for (const blob of ["{}", LAYER]) {
      const path = `os/debian/blobs/uploads/?digest=${digestOf(blob)}`;
      expect(await flow("POST", path, blob)).toBe(201);
    }
    expect(await flow("PUT", "os/debian/manifests/13", MANIFEST)).toBe(201);
    expect(await flow("GET", "os/debian/tags/list")).toBe(200);
    expect(await flow("GET", "_catalog")).toBe(200);
    expect(await flow("DELETE", "os/debian/manifests/13")).toBe(202);
    expect(await flow("GET", "os/debian/manifests/13")).toBe(404);
  });

  test.each([
    ["with from", "&from=os/base"],
    ["without from", ""],
  ])("a mount %s needs no scope for its source, which few clients ask for", async (_what, from) => {
    await using world = await bearerWorld();
    await world.push("os/base");
    const path = `os/debian/blobs/uploads/?mount=${digestOf(LAYER)}${from}`;
    expect(await withFlow(world, "POST", path, basic("operator"))).toBe(201);
  });

  test("a mount from where the user may not pull is an upload, and tells nothing", async () => {
    await using world = await bearerWorld();
    await world.push("closed/x");
    await world.setPolicy({ rules: [{ repositories: "closed/**", pull: [] }] });
    const token = await world.token(
      basic("operator"),
      "repository:os/a:pull,push repository:closed/x:pull",
    );
    for (const from of ["", "&from=closed/x", "&from=nothing/there"]) {
      const path = `os/a/blobs/uploads/?mount=${digestOf(LAYER)}${from}`;
      expect((await world.call("POST", path, token)).status).toBe(202);
    }
  });

  test("one may do what it was asked for and no more, and never what one may not", async () => {
    await using world = await bearerWorld();
    await world.push("os/debian");
    const pull = await world.token(basic("operator"), "repository:os/debian:pull");
    const status = async (method: string, path: string, token: string) =>
      (await world.call(method, path, token)).status;
    expect(await status("GET", "os/debian/manifests/13", pull)).toBe(200);
    expect(await status("POST", "os/debian/blobs/uploads/", pull)).toBe(401);
    expect(await status("DELETE", "os/debian/manifests/13", pull)).toBe(401);
    expect(await status("GET", "os/debian2/manifests/13", pull)).toBe(401);
    expect(await status("GET", "os/manifests/13", pull)).toBe(401);
    expect(await status("GET", "_catalog", pull)).toBe(401);
    const reader = await world.token(basic("reader"), "repository:os/debian:push");
    // A token with more scope would not help: this is the end of it.
    expect(await status("POST", "os/debian/blobs/uploads/", reader)).toBe(403);
  });

  test("R51 a user who was removed, or changed the password, is out at once", async () => {
    await using world = await bearerWorld();
    await world.push("os/debian");
    const { site } = world;
    const asked = "repository:os/debian:pull";
    const pull = async (token: string) =>
      (await world.call("GET", "os/debian/manifests/13", token)).status;
    const [reader, operator] = [
      await world.token(basic("reader"), asked),
      await world.token(basic("operator"), asked),
    ];
    expect([await pull(reader), await pull(operator)]).toEqual([200, 200]);
    await site.clock.advance(1000);
    expect((await site.api("DELETE", "/api/v1/users/reader", { as: "admin" })).status).toBe(204);
    const password = { password: "another password" };
    await site.api("PUT", "/api/v1/users/operator/password", { as: "admin", body: password });
    expect([await pull(reader), await pull(operator)]).toEqual([401, 401]);
  });

  test("R51 a right that was taken away is gone at once", async () => {
    await using world = await bearerWorld();
    await world.push("os/debian");
    const token = await world.token(basic("reader"), "repository:os/debian:pull");
    await world.setPolicy({ rules: [{ repositories: "os/**", pull: [] }] });
    expect((await world.call("GET", "os/debian/manifests/13", token)).status).toBe(403);
  });

  test("the API of jobs and users is as closed as without", async () => {
    await using world = await bearerWorld();
    const authorization = await world.token(basic("admin"), "registry:catalog:*");
    const answer = await world.site.api("GET", "/api/v1/users", {
      as: null,
      headers: { authorization },
    });
    expect(answer.status).toBe(401);
  });

  test("it comes to an end, and that is no failed login", async () => {
    await using world = await bearerWorld();
    const token = await world.token(basic("reader"));
    await world.site.clock.advance(599_000);
    expect((await world.call("GET", "", token)).status).toBe(200);
    await world.site.clock.advance(1000);
    for (let i = 0; i < 15; i++) {
      const late = await world.call("HEAD", "os/debian/manifests/13", token);
      expect(late.status).toBe(401);
      // What the next one must be good for.
      const scope = "repository:os/debian:pull";
      expect(parseChallenge(challengeOf(late))).toMatchObject({ scope, error: "invalid_token" });
    }
    expect(await world.audited()).toEqual([]);
  });
});

describe("what is no token of ours", () => {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

  async function open() {
    const world = await bearerWorld();
    await world.push("os/debian");
    const good = (await world.token(basic("reader"), "repository:os/debian:pull")).slice(7);
    return Object.assign(world, { good, claims: claimsOf(good) });
  }
  type World = Awaited<ReturnType<typeof open>>;

  const admin = {
    sub: "user:admin",
    access: [{ type: "repository", name: "os/debian", actions: ["pull"] }],
  };
  const forgeries: Readonly<Record<string, (world: World) => string | Promise<string>>> = {
    "one with the algorithm none": ({ claims }) =>
      `${part({ alg: "none", typ: "JWT" })}.${part({ ...claims, ...admin })}.`,
    "one with none and the old signature": ({ good, claims }) =>
      `${part({ alg: "none", typ: "JWT" })}.${part(claims)}.${good.split(".")[2]}`,
    "one with another key": ({ claims }) => sign(claims, "another key", "HS256"),
    "one with an empty key": ({ claims }) => sign(claims, " ", "HS256"),
    "one with another algorithm of the family": ({ claims }) => sign(claims, "x", "HS512"),
    "one with other claims": ({ good, claims }) => {
      const [header, , signature] = good.split(".");
      return `${header}.${part({ ...claims, ...admin })}.${signature}`;
    },
    "one with more scope": ({ good, claims }) => {
      const access = [
        { type: "repository", name: "os/debian", actions: ["pull", "push", "delete"] },
      ];
      const [header, , signature] = good.split(".");
      return `${header}.${part({ ...claims, access })}.${signature}`;
    },
    "one without its signature": ({ good }) => `${good.split(".").slice(0, 2).join(".")}.`,
    "one of two parts": ({ good }) => good.split(".").slice(0, 2).join("."),
    "one with a changed signature": ({ good }) =>
      good.slice(0, -3) + (good.endsWith("AAA") ? "BBB" : "AAA"),
    "one that names its key": ({ claims }) =>
      `${part({ alg: "HS256", typ: "JWT", jwk: { kty: "oct", k: "AA" } })}.${part(claims)}.AAAA`,
    "a long one": () => `${"a".repeat(40_000)}.b.c`,
  };

  test.each(Object.entries(forgeries))("R53 %s is refused", async (_what, forge) => {
    await using world = await open();
    const pull = async (token: string) =>
      (await world.call("GET", "os/debian/manifests/13", `Bearer ${token}`)).status;
    expect(await pull(world.good)).toBe(200);
    expect(await pull(await forge(world))).toBe(401);
  });

  test("R53 our key for one thing is not our key for another, nor is the store's", async () => {
    await using world = await open();
    const { store } = world.site;
    const keys = [await store.deriveKey("registry token 1"), await store.deriveKey("other")];
    const [right = "", other = ""] = keys.map((key) => Buffer.from(key).toString("base64url"));
    const pull = async (token: string) =>
      (await world.call("GET", "os/debian/manifests/13", `Bearer ${token}`)).status;
    expect(await pull(await sign(world.claims, right, "HS256"))).toBe(200);
    expect(await pull(await sign(world.claims, other, "HS256"))).toBe(401);
    const storeKey = Buffer.from(new Uint8Array(32).fill(7)).toString("base64url");
    expect(await pull(await sign(world.claims, storeKey, "HS256"))).toBe(401);
    for (const change of [
      { aud: "other" },
      { aud: undefined },
      { exp: undefined },
      { access: "all" },
    ]) {
      const token = await sign({ ...world.claims, ...change }, right, "HS256");
      expect([change, await pull(token)]).toEqual([change, 401]);
    }
  });
});

test("plain HTTP beside HTTPS gives no tokens", async () => {
  await using world = await RegistryWorld.open({
    http: { hostname: "0.0.0.0", port: 0 },
    https: { hostname: "0.0.0.0", port: 0, certificate: "", key: "", ca: null },
  });
  expect((await world.call("GET", "token", basic("reader"))).status).toBe(403);
  const secure = await world.call("GET", "token", basic("reader"), undefined, "https://x");
  expect(secure.status).toBe(200);
});

test("R53 no secret reaches the audit log, the log, or an answer", async () => {
  await using world = await bearerWorld();
  await world.push("os/debian");
  const robot = await world.addRobot("ci", [{ repositories: "**", actions: ["pull"] }]);
  const token = await world.token(basic("robot+ci", robot), "repository:os/debian:pull");
  await world.call("GET", "os/debian/manifests/13", token);
  await world.call("PUT", "os/debian/manifests/14", token, MANIFEST);
  // A password in the wrong field, and in the right ones.
  await world.call("GET", "", basic("CANARY-password-as-name", "x"));
  await world.call("GET", "", basic("admin", "CANARY-wrong-password"));
  await world.call("GET", "", "Bearer CANARY-wrong-token");
  await world.call("GET", "token", basic("robot+ci", "CANARY-wrong-secret"));
  await world.site.api("POST", "/api/v1/robots/ci/rotate", { as: "admin" });
  const written = await Array.fromAsync(new Bun.Glob("audit/*").scan({ cwd: world.root }), (name) =>
    Bun.file(`${world.root}/${name}`).text(),
  );
  const all = `${written.join("")}${world.site.logged.join("\n")}`;
  expect(written.join("").split("\n").length).toBeGreaterThan(7);
  expect(all).not.toContain("CANARY");
  expect(all).not.toContain(token.slice(7));
  expect(all).not.toContain(btoa("admin:CANARY-wrong-password"));
});
