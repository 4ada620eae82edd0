// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import * as fs from "node:fs/promises";
import { millis } from "../../../src/base/units.ts";
import { digestOf } from "../../../src/registry/digest.ts";
import type { Disk } from "../../../src/registry/storage/disk.ts";
import { repositoryBlobPath } from "../../../src/registry/storage/layout.ts";
import { until } from "../raw.ts";
import {
  errorCode,
  noise,
  pushBlob,
  pushImage,
  type Served,
  serveRegistry,
  text,
} from "../served.ts";

async function begin(served: Served, query = ""): Promise<string> {
  const response = await served.ask("POST", `a/blobs/uploads/${query}`);
  expect(response.status).toBe(202);
  return (response.headers.get("location") ?? "").replace("/v2/", "");
}

async function rangeOf(served: Served, upload: string): Promise<string | null> {
  const response = await served.ask("GET", upload);
  expect(response.status).toBe(204);
  return response.headers.get("range");
}

/** Sends a PATCH that stops before its end; resolves once the registry has what was sent. */
async function sendPart(served: Served, upload: string, part: Uint8Array, total: string) {
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: served.port,
    socket: { data() {} },
  });
  socket.write(`PATCH /v2/${upload} HTTP/1.1\r\nHost: x\r\n${total}\r\n\r\n`);
  let sent = 0;
  while (sent < part.byteLength) {
    sent += socket.write(part.subarray(sent));
    socket.flush();
    await Bun.sleep(1);
  }
  return socket;
}

describe("R49: uploads that break", () => {
  for (const [kind, header] of [
    ["with a length", "Content-Length: 4000000"],
    ["in chunks", "Transfer-Encoding: chunked"],
  ] as const) {
    test(`a body ${kind} that is cut short is kept and resumed`, async () => {
      await using served = await serveRegistry();
      const upload = await begin(served);
      const bytes = noise(4_000_000);
      const digest = digestOf(bytes);
      const part = bytes.subarray(0, 1_000_000);
      const framed = kind === "in chunks" ? Buffer.concat([text("f4240\r\n"), part]) : part;
      const socket = await sendPart(served, upload, framed, header);
      await until(async () => (await rangeOf(served, upload)) !== "0-0");
      socket.terminate();
      let range = "";
      // The registry has settled when it takes a chunk that begins where it says it is.
      await until(async () => {
        range = (await rangeOf(served, upload)) ?? "";
        const start = Number(range.slice(2)) + 1;
        const rest = await served.ask("PATCH", upload, {
          body: bytes.slice(start),
          headers: { "content-range": `${start}-${bytes.length - 1}` },
        });
        return rest.status === 202;
      });
      expect(Number(range.slice(2))).toBeLessThan(1_000_000);
      expect((await served.ask("PUT", `${upload}?digest=${digest}`)).status).toBe(201);
    });
  }

  test("a truncated body is never taken for a whole one", async () => {
    await using served = await serveRegistry();
    const digest = digestOf(noise(1000));
    for (const header of ["Content-Length: 2000", "Transfer-Encoding: chunked"]) {
      const upload = await begin(served);
      const framed = header.startsWith("T")
        ? Buffer.concat([text("7d0\r\n"), noise(1000)])
        : noise(1000);
      const put = `${upload}?digest=${digest}`;
      const socket = await Bun.connect({
        hostname: "127.0.0.1",
        port: served.port,
        socket: { data() {} },
      });
      socket.write(`PUT /v2/${put} HTTP/1.1\r\nHost: x\r\n${header}\r\n\r\n`);
      socket.write(framed);
      socket.flush();
      await Bun.sleep(20);
      socket.terminate();
      await Bun.sleep(20);
      expect((await served.ask("HEAD", `a/blobs/${digest}`)).status).toBe(404);
    }
  });

  test("a client that comes back takes over from its own dead connection", async () => {
    await using served = await serveRegistry();
    const upload = await begin(served);
    const bytes = noise(600_000);
    const part = bytes.subarray(0, 300_000);
    const stale = await sendPart(served, upload, part, "Content-Length: 600000");
    await until(async () => (await rangeOf(served, upload)) !== "0-0");
    // Without a position it could not know what it continues.
    expect((await served.ask("PATCH", upload, { body: "x" })).status).toBe(409);
    await until(async () => {
      const start = Number((await rangeOf(served, upload))?.slice(2)) + 1;
      const rest = await served.ask("PATCH", upload, {
        body: bytes.slice(start),
        headers: { "content-range": `${start}-599999` },
      });
      return rest.status === 202;
    });
    expect((await served.ask("PUT", `${upload}?digest=${digestOf(bytes)}`)).status).toBe(201);
    stale.terminate();
  });

  test("R55: many slow clients take as long as they like and keep nobody waiting", async () => {
    await using served = await serveRegistry({ slowAfter: millis(50) });
    const slow = [];
    for (let i = 0; i < 30; i++) {
      const upload = await begin(served);
      slow.push({
        upload,
        socket: await sendPart(served, upload, text("ab"), "Content-Length: 3"),
      });
    }
    const bytes = noise(300_000);
    const upload = await begin(served);
    const put = await served.ask("PUT", `${upload}?digest=${digestOf(bytes)}`, { body: bytes });
    expect(put.status).toBe(201);
    for (const { socket } of slow) socket.write("c");
    for (const { upload: own } of slow)
      await until(async () => (await rangeOf(served, own)) === "0-2");
    for (const { upload: own, socket } of slow) {
      const path = `${own}?digest=${digestOf("abc")}`;
      await until(async () => (await served.ask("PUT", path)).status !== 409);
      socket.end();
    }
    expect((await served.ask("HEAD", `a/blobs/${digestOf("abc")}`)).status).toBe(200);
  });

  test("after a crash what was acknowledged is there and the upload goes on", async () => {
    const before = await serveRegistry();
    const { digest } = await pushImage(before, "a", "v1", { layers: [noise(50_000)] });
    const upload = await begin(before);
    await before.ask("PATCH", upload, { body: "01234" });
    await Bun.write(`${before.root}/uploads/left-behind`, "x");
    await before.crash();
    await before.registry.close();
    // A crash in the middle of a write leaves bytes that nobody vouches for.
    const id = upload.split("/").at(-1);
    await Bun.write(`${before.root}/uploads/${id}`, "01234torn");

    await using after = await serveRegistry({ root: before.root });
    expect((await after.ask("GET", `a/manifests/v1`)).headers.get("docker-content-digest")).toBe(
      digest,
    );
    expect(await fs.readdir(`${after.root}/uploads`)).toEqual([id ?? ""]);
    expect(await rangeOf(after, upload)).toBe("0-4");
    const whole = digestOf("0123456789");
    const put = await after.ask("PUT", `${upload}?digest=${whole}`, {
      body: "56789",
      headers: { "content-range": "5-9" },
    });
    expect(put.status).toBe(201);
    expect(await (await after.ask("GET", `a/blobs/${whole}`)).text()).toBe("0123456789");
  });

  test.each([
    ["PATCH", "datasync"],
    ["PUT", "sync"],
  ] as const)(
    "what the disk has failed to sync is not acknowledged at a second try: %s",
    async (failing, call) => {
      const broken = Object.assign(new Error("i/o error"), { code: "EIO" });
      let isBroken = false;
      const disk: Disk = {
        ...fs,
        async open(...args) {
          const handle = await fs.open(...args);
          if (isBroken) handle[call] = () => Promise.reject(broken);
          return handle;
        },
      };
      await using served = await serveRegistry({ disk });
      const upload = await begin(served);
      const put = `${upload}?digest=${digestOf("01234")}`;
      const patch = () => served.ask("PATCH", upload, { body: "01234" });
      if (failing === "PUT") await patch();
      isBroken = true;
      const failed = failing === "PUT" ? await served.ask("PUT", put) : await patch();
      expect(failed.status).toBe(500);
      isBroken = false;
      expect((await served.ask("PUT", put)).status).toBe(404);
      expect(await fs.readdir(`${served.root}/uploads`)).toEqual([]);
    },
  );

  test("abandoned uploads are given up after a day", async () => {
    let now = 0;
    await using served = await serveRegistry({ now: () => now });
    const upload = await begin(served);
    now = 23 * 3600_000;
    await served.registry.sweep();
    expect(await rangeOf(served, upload)).toBe("0-0");
    now = 25 * 3600_000;
    await served.registry.sweep();
    expect((await served.ask("GET", upload)).status).toBe(404);
  });

  test("a disk without room is 507, and nothing stays", async () => {
    await using served = await serveRegistry({ reserveBytes: Number.MAX_SAFE_INTEGER });
    const response = await served.ask("POST", "a/blobs/uploads/");
    expect(response.status).toBe(507);
    expect(await errorCode(response)).toBe("STORAGE_FULL");
    expect(await fs.readdir(`${served.root}/uploads`)).toEqual([]);
  });
});

test("R49: a blob that is damaged on disk is not mounted: it is sent, and is whole where it was sent", async () => {
  await using served = await serveRegistry();
  const bytes = noise(5000);
  const digest = await pushBlob(served, "a", bytes);
  await fs.truncate(repositoryBlobPath(served.root, "a", digest), 100);
  const mount = await served.ask("POST", `b/blobs/uploads/?mount=${digest}&from=a`);
  expect(mount.status).toBe(202);
  expect((await served.ask("HEAD", `b/blobs/${digest}`)).status).toBe(404);
  await pushBlob(served, "b", bytes);
  expect(digestOf(await (await served.ask("GET", `b/blobs/${digest}`)).bytes())).toBe(digest);
});

test("the layout on disk says what the registry says", async () => {
  const served = await serveRegistry();
  const { digest } = await pushImage(served, "a/b", "v1");
  const { digest: referrer } = await pushImage(served, "a/b", "gone", { subject: digest });
  await served.ask("DELETE", "a/b/manifests/gone");
  await served.crash();
  await served.registry.close();
  await using _ = served;
  const directory = `${served.root}/repos/a/b`;
  expect(await Bun.file(`${directory}/oci-layout`).json()).toEqual({ imageLayoutVersion: "1.0.0" });
  const index = await Bun.file(`${directory}/index.json`).json();
  expect(index.manifests).toMatchObject([
    { digest, annotations: { "org.opencontainers.image.ref.name": "v1" } },
    { digest: referrer },
  ]);
});
