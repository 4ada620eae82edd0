// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Digest } from "../../src/registry/digest.ts";
import { rebuildRegistry } from "../../src/registry/housekeeping/rebuild.ts";
import { repositoryBlobPath, storePath } from "../../src/registry/storage/layout.ts";
import { AcknowledgedRepository, type Counts } from "../helpers/acknowledged.ts";
import { createRandom } from "../helpers/random.ts";
import { type RegistryProcess, startRegistryProcess } from "../helpers/registry-process.ts";
import { dumpCatalog } from "../registry/catalog-dump.ts";
import { filesBelow } from "../registry/files-below.ts";

const KILLS = 200;
const SEED = Number(process.env.PROV_SEED ?? 20_261_126);
/** One of them lies inside another, one has a name that a layout uses itself. */
const NAMES = ["a", "a/b", "a/blobs"];
const DAY_MS = 24 * 3600 * 1000;

/** Over and over, until the registry is gone. */
async function collectUntilKilled(running: RegistryProcess): Promise<void> {
  try {
    for (;;) await running.collect();
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("garbage collection")) throw error;
  }
}

function expectedFiles(root: string, repositories: readonly AcknowledgedRepository[]): string[] {
  const kept = repositories.map((each) => [each.name, each.kept()] as const);
  const below = (path: string) => path.slice(root.length + 1);
  const store = new Set<Digest>(kept.flatMap(([, digests]) => digests));
  return [
    ...[...store].map((digest) => below(storePath(root, digest))),
    ...kept.flatMap(([name, digests]) => {
      const blobs = digests.map((digest) => below(repositoryBlobPath(root, name, digest)));
      const [first] = blobs;
      const directory = first?.slice(0, first.indexOf("/blobs/sha256/"));
      return first === undefined
        ? []
        : [...blobs, `${directory}/index.json`, `${directory}/oci-layout`];
    }),
  ].sort();
}

async function filesOfContent(root: string): Promise<string[]> {
  return (await filesBelow(root)).filter((path) => !/^(?:audit\/|policy\.json$)/.test(path));
}

test("R49, R50: kill -9 at any moment loses nothing that was acknowledged, and leaves nothing else", async () => {
  const root = await mkdtemp(join(tmpdir(), "prov-crash-"));
  const random = createRandom(SEED);
  const counts: Counts = { acknowledged: 0, unknown: 0 };
  const repositories = NAMES.map((name) => new AcknowledgedRepository(name, counts));
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      const running = await startRegistryProcess(root);
      for (const each of repositories) await each.check(running.ask);
      const clients = repositories.map((each) =>
        each.useUntilKilled(running.ask, createRandom(random.below(2 ** 31)), NAMES),
      );
      const collecting = collectUntilKilled(running);
      await Bun.sleep(random.below(250));
      await running.kill();
      await Promise.all([...clients, collecting]);
    }
    const last = await startRegistryProcess(root, 2 * DAY_MS);
    for (const each of repositories) {
      await each.check(last.ask);
      await each.checkBytes(last.ask);
    }
    await last.collect();
    for (const each of repositories) await each.check(last.ask);
    const expected = expectedFiles(root, repositories);
    // index.json is written within a second.
    while (Bun.deepEquals(await filesOfContent(root), expected) === false) {
      await Bun.sleep(100);
    }
    await last.kill();
    const before = dumpCatalog(root);
    const { problems } = await rebuildRegistry(root, Date.now);
    expect(problems).toEqual([]);
    expect(dumpCatalog(root)).toEqual(before);
    console.log(
      `${KILLS} kills, ${counts.acknowledged} operations acknowledged, ${counts.unknown} cut off, ` +
        `${expected.length} files left (seed ${SEED})`,
    );
    expect(counts.acknowledged).toBeGreaterThan(KILLS);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}, 240_000);
