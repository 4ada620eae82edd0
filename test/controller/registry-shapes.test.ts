// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * R48, R51: what the standard's clients do, with a login: credentials are shown only when they are asked for,
 * to whom the challenge names, and a token is used for a repository and a kind of method as long as it goes.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { digestOf } from "../../src/registry/digest.ts";
import { REGISTRY_SERVER_OPTIONS } from "../../src/registry/registry.ts";
import { exchange, text } from "../registry/served.ts";
import { type Ask, begin, locationOf, patch } from "../registry/spec/pushing.ts";
import { makeShapes } from "../registry/spec/shapes.ts";
import { walk } from "../registry/spec/walk.ts";
import { basic, RegistryWorld } from "./registry-world.ts";

const REPOSITORY = /^(.+)\/(?:blobs\/uploads|blobs|manifests|tags|referrers)\//;
const KIND: Readonly<Record<string, string>> = {
  ...{ GET: "pull", HEAD: "pull", POST: "push", PATCH: "push", PUT: "push" },
};

/** A client that knows a name and a password. */
function createClient(url: string): Ask {
  const known = new Map<string, string>();

  async function answerTo(challenge: string): Promise<string> {
    expect(challenge).toStartWith("Bearer ");
    const fields = Object.fromEntries(
      [...challenge.matchAll(/(\w+)="([^"]+)"/g)].map(([, key, value]) => [key, value]),
    );
    const query = new URLSearchParams({
      service: fields.service ?? "",
      ...(fields.scope !== undefined && { scope: fields.scope }),
    });
    const headers = { authorization: basic("admin"), accept: "application/json" };
    const response = await fetch(`${fields.realm}?${query}`, { headers });
    expect(response.status).toBe(200);
    const { token } = (await response.json()) as { token: string };
    return `Bearer ${token}`;
  }

  return async (method, path, init) => {
    const key = `${REPOSITORY.exec(path)?.[1]} ${KIND[method] ?? method}`;
    // Sent again after a challenge.
    const body =
      init?.body instanceof ReadableStream ? await new Response(init.body).bytes() : null;
    const send = () => {
      const headers = new Headers(init?.headers);
      const authorization = known.get(key);
      if (authorization !== undefined) headers.set("authorization", authorization);
      return fetch(`${url}/v2/${path}`, { method, ...init, ...(body && { body }), headers });
    };
    const first = await send();
    if (first.status !== 401) return first;
    await first.bytes();
    known.set(key, await answerTo(first.headers.get("www-authenticate") ?? ""));
    return await send();
  };
}

describe("with tokens, pushed in every way, listed, pulled, referred to and deleted:", () => {
  let world: RegistryWorld;
  let server: Bun.Server<undefined>;
  let ask: Ask;
  beforeAll(async () => {
    world = await RegistryWorld.open({ registryAuth: "bearer" });
    const fetch = (request: Request) => world.site.send(request);
    server = Bun.serve({ ...REGISTRY_SERVER_OPTIONS, port: 0, hostname: "127.0.0.1", fetch });
    ask = createClient(`http://127.0.0.1:${server.port}`);
  });
  afterAll(async () => {
    await server.stop(true);
    await world[Symbol.asyncDispose]();
  });

  for (const [i, { name, content, hasTagParameters }] of makeShapes().entries()) {
    test(name, async () => {
      await walk({ ask, repository: `shapes/${i}`, content, hasTagParameters });
    }, 60_000);
  }

  test("/v2/ and what is empty", async () => {
    expect((await ask("GET", "")).status).toBe(200);
    expect((await ask("GET", `empty/one/referrers/${digestOf("x")}`)).status).toBe(200);
    expect((await ask("GET", "empty/one/tags/list")).status).toBe(404);
  });

  test.each(["&from=mount/from", ""])(
    "a mount from where the token did not reach: %s",
    async (from) => {
      const body = text(`mounted${from}`);
      const digest = digestOf(body);
      // A token for the target alone is there already.
      await begin(ask, "mount/to");
      await ask("POST", `mount/from/blobs/uploads/?digest=${digest}`, { body });
      const mounted = await ask("POST", `mount/to/blobs/uploads/?mount=${digest}${from}`);
      expect(mounted.status).toBe(201);
      expect(await (await ask("GET", locationOf(mounted))).bytes()).toEqual(body);
      expect((await ask("DELETE", `mount/to/blobs/${digest}`)).status).toBe(202);
      expect((await ask("DELETE", `mount/from/blobs/${digest}`)).status).toBe(202);
      const refused = await ask("POST", `mount/to/blobs/uploads/?mount=${digest}${from}`);
      expect(refused.status).toBe(202);
    },
  );

  test("an upload is looked at, refused out of order, and given up", async () => {
    // A token that only pulls is there already.
    await ask("HEAD", `upload/a/blobs/${digestOf("x")}`);
    const upload = await begin(ask, "upload/a");
    expect((await patch(ask, upload, text("abc"), 5)).status).toBe(416);
    expect((await ask("GET", upload)).status).toBe(204);
    expect((await patch(ask, upload, text("abc"), 0)).status).toBe(202);
    expect((await ask("DELETE", upload)).status).toBe(204);
    expect((await ask("GET", upload)).status).toBe(404);
  });

  test("tokens that have come to their end are replaced", async () => {
    const upload = await begin(ask, "late/a");
    await world.site.clock.advance(601_000);
    expect((await patch(ask, upload, text("late"), 0)).status).toBe(202);
    const put = await ask("PUT", `${upload}?digest=${digestOf("late")}`);
    expect(put.status).toBe(201);
    await world.site.clock.advance(601_000);
    expect(await (await ask("GET", locationOf(put))).text()).toBe("late");
  });

  test("HTTP/1.0 without a Host is told where tokens are, and answered", async () => {
    const say = async (line: string) =>
      (await exchange(server.port ?? 0, `${line}\r\n\r\n`)).toLowerCase();
    const challenged = await say("GET /v2/ HTTP/1.0");
    expect(challenged).toStartWith("http/1.1 401");
    expect(challenged).toContain('realm="http://10.0.0.1:8080/v2/token"');
    const login = `Authorization: ${basic("admin")}`;
    const scope = "service=prov&scope=repository:a:pull";
    expect(await say(`GET /v2/token?${scope} HTTP/1.0\r\n${login}`)).toStartWith("http/1.1 200");
    expect(await say(`GET /v2/ HTTP/1.0\r\n${login}`)).toStartWith("http/1.1 200");
  });
});
