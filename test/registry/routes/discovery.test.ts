// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import type { Access } from "../../../src/registry/routes/call.ts";
import { errorCode, pushBlob, pushImage, serveRegistry, text } from "../served.ts";

describe("R48: repositories share what is equal, and nothing else", () => {
  test("deleting a blob frees its space unless another repository has it", async () => {
    await using served = await serveRegistry();
    const digest = await pushBlob(served, "a", text("x"));
    const mounted = await served.ask("POST", `b/blobs/uploads/?mount=${digest}&from=a`);
    expect(mounted.status).toBe(201);
    const hex = digest.slice(7);
    const stored = () => existsSync(`${served.root}/store/sha256/${hex.slice(0, 2)}/${hex}`);
    await served.ask("DELETE", `a/blobs/${digest}`);
    expect((await served.ask("GET", `a/blobs/${digest}`)).status).toBe(404);
    expect(await (await served.ask("GET", `b/blobs/${digest}`)).text()).toBe("x");
    expect(stored()).toBe(true);
    await served.ask("DELETE", `b/blobs/${digest}`);
    expect(stored()).toBe(false);
  });

  test("a repository inside another one's name keeps to itself", async () => {
    await using served = await serveRegistry();
    const names = ["a", "a/b", "a/blobs", "a/blobs/sha256", "a/index.json", "a/oci-layout/x"];
    for (const name of names) await pushImage(served, name, "v1");
    await served.ask("DELETE", "a/manifests/v1");
    for (const name of names.slice(1)) {
      expect((await served.ask("GET", `${name}/manifests/v1`)).status).toBe(200);
    }
    expect(await served.registry.repositories()).toEqual(names);
  });
});

describe("R51: access", () => {
  const accessOf = (request: Request): Access => {
    const user = request.headers.get("x-user") ?? "anonymous";
    return {
      identity: user,
      may: (action, repository) =>
        user === "admin" || (action === "pull" && repository.startsWith("public")),
    };
  };

  test("nobody is challenged, somebody is denied", async () => {
    await using served = await serveRegistry({ accessOf });
    const challenged = await served.ask("GET", "");
    expect(challenged.status).toBe(401);
    expect(challenged.headers.get("www-authenticate")).toBe('Basic realm="prov"');
    expect(await errorCode(challenged)).toBe("UNAUTHORIZED");
    const guest = { headers: { "x-user": "guest" } };
    expect((await served.ask("GET", "", guest)).status).toBe(200);
    const denied = await served.ask("POST", "public/a/blobs/uploads/", guest);
    expect(denied.status).toBe(403);
    expect(await errorCode(denied)).toBe("DENIED");
    expect((await served.ask("GET", "public/a/tags/list")).status).toBe(404);
    expect((await served.ask("GET", "secret/a/tags/list")).status).toBe(401);
  });

  test("a mount takes nothing that one may not pull", async () => {
    const admin = { headers: { "x-user": "admin" } };
    await using served = await serveRegistry({
      accessOf: (request) => {
        const access = accessOf(request);
        if (access.identity !== "maker") return access;
        return { identity: "maker", may: (_, repository) => repository === "mine" };
      },
    });
    const body = "hidden";
    const digest = `sha256:${new Bun.CryptoHasher("sha256").update(body).digest("hex")}`;
    await served.ask("POST", `secret/blobs/uploads/?digest=${digest}`, { body, ...admin });
    const maker = { headers: { "x-user": "maker" } };
    for (const from of ["&from=secret", "", "&from=../secret"]) {
      const response = await served.ask(
        "POST",
        `mine/blobs/uploads/?mount=${digest}${from}`,
        maker,
      );
      expect(response.status).toBe(202);
    }
    const response = await served.ask("POST", `mine/blobs/uploads/?mount=${digest}`, admin);
    expect(response.status).toBe(201);
  });
});
