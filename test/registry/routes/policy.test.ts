// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../../src/registry/digest.ts";
import {
  errorCode,
  noise,
  pushBlob,
  pushImage,
  type Served,
  serveRegistry,
  text,
} from "../served.ts";

async function setPolicy(served: Served, document: unknown): Promise<void> {
  expect((await served.registry.setPolicy(document, null)).kind).toBe("set");
}

/** `DENIED: the tag …` */
async function refusal(response: Response): Promise<string> {
  expect(response.status).toBe(403);
  const { errors } = (await response.json()) as { errors: { code: string; message: string }[] };
  return `${errors[0]?.code}: ${errors[0]?.message}`;
}

describe("R51: read-only", () => {
  test("nothing is pushed or deleted, also by administrators; everything is pulled", async () => {
    await using served = await serveRegistry();
    const { digest } = await pushImage(served, "os/debian", "13");
    const open = await served.ask("POST", "os/debian/blobs/uploads/");
    const upload = (open.headers.get("location") ?? "").replace("/v2/", "");
    await setPolicy(served, { read_only: true });
    const blob = digestOf("layer");
    for (const [method, path] of [
      ["POST", "os/debian/blobs/uploads/"],
      ["POST", `os/copy/blobs/uploads/?mount=${blob}&from=os/debian`],
      ["PATCH", upload],
      ["PUT", `${upload}?digest=${blob}`],
      ["PUT", "os/debian/manifests/14"],
      ["DELETE", "os/debian/manifests/13"],
      ["DELETE", `os/debian/manifests/${digest}`],
      ["DELETE", `os/debian/blobs/${blob}`],
    ] as const) {
      const answer = await served.ask(method, path);
      expect(await refusal(answer)).toBe("DENIED: the registry is read-only at present");
    }
    for (const path of ["manifests/13", `blobs/${blob}`, "tags/list", `referrers/${digest}`]) {
      expect((await served.ask("GET", `os/debian/${path}`)).status).toBe(200);
    }
    await setPolicy(served, {});
    expect((await served.ask("DELETE", "os/debian/manifests/13")).status).toBe(202);
  });
});

describe("R51: immutable tags", () => {
  const RULES = { rules: [{ repositories: "os/**", immutable_tags: ["v*"] }] };

  test("are set once; the same manifest may be pushed again, and other tags move", async () => {
    await using served = await serveRegistry();
    await setPolicy(served, RULES);
    const first = await pushImage(served, "os/debian", "v1");
    expect(first.response.status).toBe(201);
    expect((await pushImage(served, "os/debian", "v1")).response.status).toBe(201);
    const other = await pushImage(served, "os/debian", "v1", { layers: [text("other")] });
    expect(await refusal(other.response)).toBe(
      `DENIED: the tag v1 is immutable: it stays at ${first.digest}`,
    );
    const now = await served.ask("HEAD", "os/debian/manifests/v1");
    expect(now.headers.get("docker-content-digest")).toBe(first.digest);
    for (const layer of ["one", "two"]) {
      const { response } = await pushImage(served, "os/debian", "latest", {
        layers: [text(layer)],
      });
      expect(response.status).toBe(201);
    }
    const elsewhere = await pushImage(served, "tools/x", "v1");
    expect(elsewhere.response.status).toBe(201);
    const moved = await pushImage(served, "tools/x", "v1", { layers: [text("other")] });
    expect(moved.response.status).toBe(201);
  });

  test("a push by digest that names one as well moves none of its tags", async () => {
    await using served = await serveRegistry();
    await setPolicy(served, RULES);
    const first = await pushImage(served, "os/debian", "v1");
    const next = JSON.parse(first.manifest);
    const body = JSON.stringify({ ...next, annotations: { a: "b" } });
    const path = `os/debian/manifests/${digestOf(body)}?tag=fresh&tag=v1`;
    const headers = { "content-type": "application/vnd.oci.image.manifest.v1+json" };
    const answer = await served.ask("PUT", path, { body, headers });
    expect(await refusal(answer)).toContain("v1 is immutable");
    expect((await served.ask("GET", "os/debian/manifests/fresh")).status).toBe(404);
    expect((await served.ask("GET", `os/debian/manifests/${digestOf(body)}`)).status).toBe(404);
  });

  test("neither the tag nor the manifest that it names can be deleted", async () => {
    await using served = await serveRegistry();
    await setPolicy(served, RULES);
    const { digest } = await pushImage(served, "os/debian", "v1");
    await pushImage(served, "os/debian", "latest");
    for (const reference of ["v1", digest]) {
      const answer = await served.ask("DELETE", `os/debian/manifests/${reference}`);
      expect(await refusal(answer)).toContain("v1 is immutable");
    }
    expect((await served.ask("DELETE", "os/debian/manifests/latest")).status).toBe(202);
    expect((await served.ask("GET", `os/debian/manifests/${digest}`)).status).toBe(200);
  });
});

test("R51: what an immutable tag names stays whole, down to the blobs of an index's images", async () => {
  await using served = await serveRegistry();
  await setPolicy(served, { rules: [{ repositories: "os/**", immutable_tags: ["v*"] }] });
  const child = await pushImage(served, "os/all", "amd64", { layers: [text("of the child")] });
  const loose = await pushImage(served, "os/all", "loose", { layers: [text("loose")] });
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [
      {
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        digest: child.digest,
        size: child.manifest.length,
      },
    ],
  });
  const headers = { "content-type": "application/vnd.oci.image.index.v1+json" };
  const put = await served.ask("PUT", "os/all/manifests/v1", { body: index, headers });
  expect(put.status).toBe(201);
  for (const path of [
    `manifests/${digestOf(index)}`,
    `manifests/${child.digest}`,
    `blobs/${digestOf("of the child")}`,
    `blobs/${digestOf("{}")}`,
  ]) {
    const answer = await served.ask("DELETE", `os/all/${path}`);
    expect(await refusal(answer)).toBe(
      `DENIED: the tag v1 is immutable: it stays at ${digestOf(index)}`,
    );
  }
  for (const path of [
    "manifests/amd64",
    `manifests/${loose.digest}`,
    `blobs/${digestOf("loose")}`,
  ]) {
    expect([path, (await served.ask("DELETE", `os/all/${path}`)).status]).toEqual([path, 202]);
  }
});

describe("R51: quotas", () => {
  const KIB = 1024;
  const rules = (quota: string) => ({ rules: [{ repositories: "os/**", quota }] });
  const uploads = (served: Served) => readdirSync(join(served.root, "uploads"));

  test("count blobs and manifests of all repositories of the rule", async () => {
    await using served = await serveRegistry();
    await setPolicy(served, rules("10K"));
    await pushBlob(served, "os/a", noise(4 * KIB, 1));
    await pushBlob(served, "os/b", noise(4 * KIB, 2));
    await pushBlob(served, "tools/c", noise(40 * KIB, 3));
    const third = noise(3 * KIB, 4);
    const post = (repository: string, body: Uint8Array<ArrayBuffer>) =>
      served.ask("POST", `${repository}/blobs/uploads/?digest=${digestOf(body)}`, { body });
    expect(await refusal(await post("os/c", third))).toBe(
      "DENIED: the quota of os/** is 10 KiB, of which 8 KiB are used: 3 KiB more do not fit",
    );
    expect((await post("os/c", noise(2 * KIB, 5))).status).toBe(201);
    const { response } = await pushImage(served, "os/a", "1", { layers: [] }).catch(() => ({
      response: undefined,
    }));
    expect(response).toBeUndefined();
    expect((await served.ask("DELETE", `os/a/blobs/${digestOf(noise(4 * KIB, 1))}`)).status).toBe(
      202,
    );
    expect((await post("os/c", third)).status).toBe(201);
    expect(uploads(served)).toEqual([]);
  });

  test("what the repository has already costs nothing, what it mounts does", async () => {
    await using served = await serveRegistry();
    await setPolicy(served, rules("10K"));
    const blob = noise(6 * KIB, 1);
    const digest = await pushBlob(served, "os/a", blob);
    const start = await served.ask("POST", "os/a/blobs/uploads/");
    const path = (start.headers.get("location") ?? "").replace("/v2/", "");
    expect((await served.ask("PUT", `${path}?digest=${digest}`, { body: blob })).status).toBe(201);
    const mount = (to: string) =>
      served.ask("POST", `${to}/blobs/uploads/?mount=${digest}&from=os/a`);
    expect((await mount("os/a")).status).toBe(201);
    expect((await mount("tools/x")).status).toBe(201);
    expect(await refusal(await mount("os/b"))).toContain("6 KiB more do not fit");
  });

  test("end a body without a length where they are used up, and keep nothing of it", async () => {
    await using served = await serveRegistry();
    await setPolicy(served, rules("1M"));
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await Bun.sleep(1);
        sent += 256 * KIB;
        if (sent > 64 * KIB * KIB) controller.close();
        else controller.enqueue(noise(256 * KIB, sent));
      },
    });
    const start = await served.ask("POST", "os/a/blobs/uploads/");
    const path = (start.headers.get("location") ?? "").replace("/v2/", "");
    const answer = await served.ask("PATCH", path, { body }).catch(() => undefined);
    // Whoever still sends may see the connection end before the answer.
    if (answer !== undefined)
      expect(await refusal(answer)).toContain("the quota of os/** is 1 MiB");
    expect(sent).toBeLessThan(32 * KIB * KIB);
    expect((await served.ask("GET", path)).status).toBe(404);
    expect(uploads(served)).toEqual([]);
  });

  test("hold for pushes that end at the same time", async () => {
    await using served = await serveRegistry();
    await setPolicy(served, rules("10K"));
    const blobs = Array.from({ length: 8 }, (_, i) => noise(4 * KIB, i + 1));
    const statuses = await Promise.all(
      blobs.map(async (body, i) => {
        const path = `os/${i}/blobs/uploads/?digest=${digestOf(body)}`;
        return (await served.ask("POST", path, { body })).status;
      }),
    );
    expect(statuses.toSorted()).toEqual([201, 201, 403, 403, 403, 403, 403, 403]);
    expect(uploads(served)).toEqual([]);
  });

  test("hold after a restart", async () => {
    const first = await serveRegistry();
    await setPolicy(first, rules("10K"));
    await pushBlob(first, "os/a", noise(8 * KIB, 1));
    await first.crash();
    await first.registry.close();
    await using served = await serveRegistry({ root: first.root });
    const body = noise(4 * KIB, 2);
    const answer = await served.ask("POST", `os/b/blobs/uploads/?digest=${digestOf(body)}`, {
      body,
    });
    expect(await refusal(answer)).toContain("8 KiB are used");
  });
});

describe("R53: rate limits", () => {
  test("429 with Retry-After for one caller, and not for another", async () => {
    let now = 1_000_000;
    await using served = await serveRegistry({
      now: () => now,
      accessOf: (request) => {
        const limitedAs = request.headers.get("x-user");
        return { identity: "user:x", may: () => true, ...(limitedAs && { limitedAs }) };
      },
    });
    await setPolicy(served, { rate_limit: { requests_per_second: 0.1, burst: 2 } });
    const as = (user: string) => served.ask("GET", "", { headers: { "x-user": user } });
    expect([(await as("a")).status, (await as("a")).status]).toEqual([200, 200]);
    const limited = await as("a");
    expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "10"]);
    expect(await errorCode(limited)).toBe("TOOMANYREQUESTS");
    expect((await as("b")).status).toBe(200);
    for (let i = 0; i < 5; i++) expect((await served.ask("GET", "")).status).toBe(200);
    now += 10_000;
    expect((await as("a")).status).toBe(200);
  });
});

describe("R51: audit", () => {
  test("a line per push, mount, delete and denial, on disk before the answer", async () => {
    await using served = await serveRegistry({
      accessOf: (request) => ({
        identity: request.headers.get("x-user") ?? "user:ann",
        address: "192.0.2.7",
        may: (action) => action === "pull" || request.headers.get("x-user") !== "user:bob",
      }),
    });
    const lines = async () => {
      const { entries } = await served.registry.auditPage({ limit: 100 });
      return entries.map(
        ({ identity, action, outcome, repository, reference }) =>
          `${identity} ${action} ${outcome} ${repository} ${reference ?? "-"}`,
      );
    };
    const { digest } = await pushImage(served, "os/debian", "13");
    const bob = { headers: { "x-user": "user:bob" } };
    await served.ask("GET", "os/debian/manifests/13", bob);
    expect((await served.ask("PUT", "os/debian/manifests/14", { ...bob, body: "{}" })).status).toBe(
      403,
    );
    await served.ask("POST", `os/b/blobs/uploads/?mount=${digestOf("layer")}&from=os/debian`);
    const open = await served.ask("POST", "os/b/blobs/uploads/");
    const upload = (open.headers.get("location") ?? "").replace("/v2/", "");
    // What was sent is no mount, whatever the query says.
    const whole = `${upload}?digest=${digestOf("sent")}&mount=${digestOf("layer")}`;
    expect((await served.ask("PUT", whole, { body: "sent" })).status).toBe(201);
    await served.ask("DELETE", "os/debian/manifests/13");
    await served.ask("DELETE", "os/debian/manifests/13");
    await served.ask("DELETE", `os/debian/manifests/${digest}`);
    await served.ask("DELETE", `os/debian/blobs/${digestOf("layer")}`);
    expect(await lines()).toEqual([
      `user:ann delete-blob done os/debian ${digestOf("layer")}`,
      `user:ann delete done os/debian ${digest}`,
      "user:ann delete done os/debian 13",
      "user:ann push-blob done os/b -",
      "user:ann mount-blob done os/b -",
      "user:bob push denied os/debian 14",
      "user:ann push done os/debian 13",
      "user:ann push-blob done os/debian -",
      "user:ann push-blob done os/debian -",
    ]);
    const { entries } = await served.registry.auditPage({ limit: 100 });
    const pushed = entries.find(({ action, outcome }) => action === "push" && outcome === "done");
    expect(pushed).toMatchObject({ digest, address: "192.0.2.7" });
  });

  test("what cannot be written is not acknowledged", async () => {
    await using served = await serveRegistry();
    await pushImage(served, "os/debian", "13");
    const month = new Date().toISOString().slice(0, 7);
    const path = join(served.root, "audit", `${month}.jsonl`);
    await Bun.$`rm ${path} && mkdir ${path}`.quiet();
    expect((await served.ask("DELETE", "os/debian/manifests/13")).status).toBe(500);
  });
});
