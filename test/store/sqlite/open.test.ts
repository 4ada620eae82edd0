// SPDX-License-Identifier: AGPL-3.0-or-later
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seconds } from "../../../src/base/units.ts";
import { openStore } from "../../../src/store/sqlite/open.ts";
import { KEY, newJob, server, temporaryDirectory } from "../fresh-store.ts";

const NOTHING = { events: [] };

function place(directory: { readonly path: string }) {
  return { path: join(directory.path, "prov.db"), keyFile: join(directory.path, "key") };
}

describe("openStore()", () => {
  test("makes database and key file for their owner alone", async () => {
    using directory = temporaryDirectory();
    const { path, keyFile } = place(directory);
    const store = await openStore({ path, keyFile });
    const modes = readdirSync(directory.path).map((name) => [
      name,
      (statSync(join(directory.path, name)).mode & 0o777).toString(8),
    ]);
    expect(Object.fromEntries(modes)).toEqual({
      "prov.db": "600",
      "prov.db-shm": "600",
      "prov.db-wal": "600",
      key: "600",
    });
    expect(statSync(keyFile).size).toBe(32);
    await store.close();
  });

  test("keeps everything over a restart (R7)", async () => {
    using directory = temporaryDirectory();
    const before = await openStore(place(directory));
    await before.servers.put(server("SN1"), 1);
    await before.jobs.create(newJob("j1", "SN1"), 2);
    const { lease } = (await before.jobs.claim("w1", 3, seconds(60))) ?? {};
    if (lease === undefined) throw new Error("Nothing to claim");
    await before.jobs.setEnvelope(lease, "{}");
    await before.jobs.advance(lease, { kind: "entered", phase: "waiting" }, NOTHING, 4);
    await before.jobs.recordDelivery("j1", "d1", 5);
    const media = await before.media.issue("j1", "boot", 100, 5);
    await before.media.countGet(media.token, 6);
    await before.media.countGet(media.token, 7);
    const all = async (store: typeof before) => ({
      servers: await store.servers.list(),
      job: await store.jobs.get("j1"),
      payload: await store.jobs.payload("j1"),
      events: await store.jobs.events("j1", 0, 10),
      media: await store.media.forJob("j1"),
      isKnown: await store.jobs.isKnownDelivery("j1", "d1"),
    });
    const expected = await all(before);
    expect(expected.media[0]?.gets).toBe(2);
    await before.close();

    const after = await openStore(place(directory));
    expect(await all(after)).toEqual(expected);
    // The worker that came back still holds its lease.
    expect(await after.jobs.heartbeat(lease, 8, seconds(60))).toBe(true);
    await after.close();
  });

  test("refuses a key file that others may read", async () => {
    using directory = temporaryDirectory();
    const { path, keyFile } = place(directory);
    writeFileSync(keyFile, KEY);
    chmodSync(keyFile, 0o640);
    await expect(openStore({ path, keyFile })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: `Cannot use the key file ${keyFile}: others may read it (mode 640)`,
    });
  });

  test("refuses a key file of another length", async () => {
    using directory = temporaryDirectory();
    const { path, keyFile } = place(directory);
    writeFileSync(keyFile, "short", { mode: 0o600 });
    await expect(openStore({ path, keyFile })).rejects.toMatchObject({
      message: `Cannot use the key file ${keyFile}: it has 5 bytes instead of 32`,
    });
  });

  test("does not make a new key for a database that has one", async () => {
    using directory = temporaryDirectory();
    const { path, keyFile } = place(directory);
    await (await openStore({ path, keyFile })).close();
    rmSync(keyFile);
    await expect(openStore({ path, keyFile })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: `Cannot open the database ${path}: its key file ${keyFile} is missing`,
    });
    expect(readdirSync(directory.path)).toEqual(["prov.db"]);
  });

  test("refuses the key of another database at once", async () => {
    using directory = temporaryDirectory();
    const { path, keyFile } = place(directory);
    await (await openStore({ path, keyFile })).close();
    await expect(openStore({ path, key: KEY })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: `Cannot open the database ${path}: it was sealed with another key`,
    });
  });

  test("says what it cannot open", async () => {
    using directory = temporaryDirectory();
    const noDatabase = join(directory.path, "text");
    writeFileSync(noDatabase, "not a database ".repeat(100));
    const noDirectory = join(directory.path, "missing", "prov.db");
    for (const path of [noDatabase, noDirectory]) {
      await expect(openStore({ path, key: KEY })).rejects.toMatchObject({
        code: "CONFIG_INVALID",
        message: `Cannot open the database ${path}`,
      });
    }
  });

  test("refuses a newer database (R11)", async () => {
    using directory = temporaryDirectory();
    const { path, keyFile } = place(directory);
    const db = new Database(path);
    db.run("pragma user_version = 999");
    db.close();
    await expect(openStore({ path, keyFile })).rejects.toMatchObject({ code: "STORE_TOO_NEW" });
    expect(readdirSync(directory.path)).not.toContain("key");
  });
});

test("no secret stands in the database or its log (R10, R53)", async () => {
  using directory = temporaryDirectory();
  const store = await openStore(place(directory));
  await store.servers.put(server("SN1"), 1);
  await store.users.add("ann", "admin", "CANARY-user-password", 1);
  await store.jobs.create(newJob("j1", "SN1"), 2);
  const { lease } = (await store.jobs.claim("w1", 3, seconds(60))) ?? {};
  if (lease === undefined) throw new Error("Nothing to claim");
  await store.jobs.setEnvelope(lease, '{"token":"CANARY-envelope"}');
  const { token } = await store.media.issue("j1", "task", 100, 5);
  const readAll = () =>
    readdirSync(directory.path)
      .filter((name) => name.startsWith("prov.db"))
      .map((name) => readFileSync(join(directory.path, name), "latin1"))
      .join("");
  const whileOpen = readAll();
  await store.close();
  const closed = readAll();
  for (const bytes of [whileOpen, closed]) {
    expect(bytes).toContain("install-linux.target");
    expect(bytes).not.toContain("CANARY");
    expect(bytes).not.toContain(token);
  }
});

test("two processes claim 200 jobs, none of them twice (R3, R8)", async () => {
  using directory = temporaryDirectory();
  const { path, keyFile } = place(directory);
  const store = await openStore({ path, keyFile });
  for (let n = 0; n < 200; n++) {
    await store.servers.put(server(`SN${n}`), 1);
    await store.jobs.create(newJob(`j${n}`, `SN${n}`), n);
  }
  const script = Bun.fileURLToPath(import.meta.resolve("../claim-all.ts"));
  const workers = ["w1", "w2"].map((owner) => {
    const child = Bun.spawn([process.execPath, script, path, keyFile, owner], { stdin: "pipe" });
    return { child, reader: child.stdout.pipeThrough(new TextDecoderStream()).getReader() };
  });
  for (const { reader } of workers) expect((await reader.read()).value).toBe("ready\n");
  for (const { child } of workers) {
    child.stdin.write("go\n");
    child.stdin.end();
  }
  const claimed = await Promise.all(
    workers.map(async ({ child, reader }) => {
      let text = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        text += part.value;
      }
      expect(await child.exited).toBe(0);
      return JSON.parse(text) as string[];
    }),
  );
  const ids = claimed.flat();
  expect(ids.length).toBe(200);
  expect(new Set(ids).size).toBe(200);
  for (const share of claimed) expect(share.length).toBeGreaterThan(0);

  const taken = await store.jobs.claim("w3", 1000 + seconds(60), seconds(60));
  expect(taken?.lease).toEqual({ jobId: "j0", owner: "w3", fence: 2 });
  const loser = { jobId: "j0", owner: claimed[0]?.includes("j0") ? "w1" : "w2", fence: 1 };
  await expect(
    store.jobs.advance(loser, { kind: "entered", phase: "insert" }, NOTHING, 2000),
  ).rejects.toMatchObject({ code: "LEASE_LOST" });
  await store.close();
});
