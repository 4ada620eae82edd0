// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../src/registry/digest.ts";
import { type RegistryProcess, startRegistryProcess } from "../helpers/registry-process.ts";
import { noise, pushImage } from "../registry/served.ts";

const ROUNDS = 12;

/** Pushes until the registry is gone; notes only what it has acknowledged. */
async function pushUntilKilled(running: RegistryProcess, round: number, tags: Map<string, string>) {
  for (let i = 0; ; i++) {
    const tag = `r${round}-${i}`;
    const layers = [noise(1000 + 37_000 * (i % 9), round * 1000 + i)];
    try {
      const { response, digest } = await pushImage(running, "a/b", tag, { layers });
      if (response.status === 201) tags.set(tag, digest);
    } catch {
      return;
    }
  }
}

async function expectWhole(
  running: RegistryProcess,
  tags: ReadonlyMap<string, string>,
): Promise<void> {
  for (const [tag, digest] of tags) {
    const response = await running.ask("GET", `a/b/manifests/${tag}`);
    const bytes = await response.bytes();
    expect(`${tag} ${digestOf(bytes)}`).toBe(`${tag} ${digest}`);
    const { layers } = JSON.parse(new TextDecoder().decode(bytes)) as {
      layers: { digest: string }[];
    };
    const layer = await running.ask("GET", `a/b/blobs/${layers[0]?.digest}`);
    expect(digestOf(await layer.bytes())).toBe(layers[0]?.digest as never);
  }
}

test("R49: kill -9 at any moment loses nothing that was acknowledged", async () => {
  const root = await mkdtemp(join(tmpdir(), "prov-crash-"));
  const tags = new Map<string, string>();
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const running = await startRegistryProcess(root);
      const pushers = [0, 1, 2].map((n) => pushUntilKilled(running, round * 10 + n, tags));
      await Bun.sleep(50 + round * 23);
      await running.kill();
      await Promise.all(pushers);
    }
    const running = await startRegistryProcess(root);
    await expectWhole(running, tags);
    // What the killed ones could not write any more is written by the next one.
    const index = join(root, "repos/a/b/index.json");
    const isWritten = async () => {
      const text = await readFile(index, "utf8").catch(() => "");
      return [...tags.keys()].every((tag) => text.includes(`"${tag}"`));
    };
    while (!(await isWritten())) await Bun.sleep(50);
    await running.kill();
    for (const end of ["", "-wal", "-shm"]) await rm(`${root}/index.db${end}`, { force: true });
    const rebuilt = await startRegistryProcess(root);
    await expectWhole(rebuilt, tags);
    await rebuilt.kill();
    expect(tags.size).toBeGreaterThan(ROUNDS);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}, 60_000);
