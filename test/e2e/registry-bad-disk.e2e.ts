// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { type Disk, realDisk } from "../../src/registry/storage/disk.ts";
import { openSite } from "../registry/mirror/site.ts";
import { pushBlob } from "../registry/served.ts";

/** Bytes between two syncs of what comes. */
const CHECKPOINT = 256 * 1024 * 1024;

test("R49: what a mirror's disk fails to sync is not gone on with", async () => {
  const synced: string[] = [];
  const open: Disk["open"] = async (path, flags) => {
    const handle = await realDisk.open(path, flags);
    const { datasync } = handle;
    handle.datasync = async () => {
      synced.push(String(path));
      // Linux takes the bytes for written from then on: the second time it works.
      if (synced.length === 1) throw Object.assign(new Error("i/o error"), { code: "EIO" });
      await datasync.call(handle);
    };
    return handle;
  };
  await using site = await openSite({ mirror: { disk: { ...realDisk, open } } });
  // Longer than what is received between two syncs.
  const digest = await pushBlob(site.central, "os/a", new Uint8Array(CHECKPOINT + 3_000_000));
  const pull = async () => {
    const hasher = new Bun.CryptoHasher("sha256");
    const { body } = await site.mirror.ask("GET", `os/a/blobs/${digest}`);
    for await (const chunk of body ?? []) hasher.update(chunk);
    return `sha256:${hasher.digest("hex")}`;
  };
  await expect(pull()).rejects.toThrow();
  const before = site.link.passed();
  expect(await pull()).toBe(digest);
  expect(site.link.passed() - before).toBeGreaterThan(CHECKPOINT);
}, 60_000);
