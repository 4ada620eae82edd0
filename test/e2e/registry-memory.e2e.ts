// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { mkdtemp, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { peakRss } from "../helpers/bench.ts";
import { type RegistryProcess, startRegistryProcess } from "../helpers/registry-process.ts";

const MIB = 1024 ** 2;

async function curl(...args: string[]): Promise<string> {
  const argv = ["curl", "--silent", "--show-error", "--fail", ...args];
  const child = Bun.spawn(argv, { stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(err);
  return out;
}

async function send(registry: RegistryProcess, file: string): Promise<void> {
  const start = await registry.ask("POST", "a/blobs/uploads/");
  const url = `${registry.url}${start.headers.get("location")}`;
  await curl("--request", "PATCH", "--upload-file", file, url);
  expect((await fetch(url, { method: "DELETE" })).status).toBe(204);
}

test("R49: a blob takes a few megabytes of memory, whatever its size, and so does each of many", async () => {
  const root = await mkdtemp(join(tmpdir(), "prov-memory-"));
  const registry = await startRegistryProcess(join(root, "registry"));
  try {
    const [big, small] = [join(root, "big"), join(root, "small")];
    for (const file of [big, small]) await Bun.write(file, "");
    await truncate(small, 64 * MIB);
    await truncate(big, 1024 * MIB);
    await send(registry, small);
    const atRest = await peakRss(registry.pid);
    await send(registry, big);
    const forOne = (await peakRss(registry.pid)) - atRest;
    await Promise.all(Array.from({ length: 16 }, () => send(registry, small)));
    const forMany = (await peakRss(registry.pid)) - atRest;
    expect(forOne).toBeLessThan(24 * MIB);
    // Left to the garbage collector it would be 80.
    expect(forMany).toBeLessThan(64 * MIB);
  } finally {
    await registry.kill();
    await rm(root, { recursive: true, force: true });
  }
}, 120_000);
