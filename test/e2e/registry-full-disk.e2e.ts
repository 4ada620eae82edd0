// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../src/registry/digest.ts";
import { errorCode, noise, pushBlob, serveRegistry } from "../registry/served.ts";

function runProgram(...argv: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(argv);
  if (exitCode !== 0) throw new Error(`${argv.join(" ")} exited with ${exitCode}: ${stderr}`);
}

/** A registry on a file system of `megabytes`, which needs root to make. */
async function withSmallDisk(megabytes: number, run: (root: string) => Promise<void>) {
  const root = await mkdtemp(join(tmpdir(), "prov-small-"));
  runProgram("mount", "-t", "tmpfs", "-o", `size=${megabytes}m`, "prov-small", root);
  try {
    await run(root);
  } finally {
    runProgram("umount", "--lazy", root);
    await rm(root, { recursive: true, force: true });
  }
}

test("R49: an upload that outgrows the disk is 507 and leaves nothing; what was there stays", async () => {
  await withSmallDisk(24, async (root) => {
    const served = await serveRegistry({ root, reserveBytes: 0 });
    try {
      const kept = await pushBlob(served, "a", noise(4_000_000));
      const bytes = noise(40_000_000, 2);
      const chunked = new ReadableStream({
        start(controller) {
          for (let i = 0; i < 40; i++) {
            controller.enqueue(bytes.slice(i * 1_000_000, (i + 1) * 1_000_000));
          }
          controller.close();
        },
      });
      for (const body of [bytes, chunked]) {
        const path = `a/blobs/uploads/?digest=${digestOf(bytes)}`;
        const response = await served.ask("POST", path, { body });
        expect(response.status).toBe(507);
        expect(await errorCode(response)).toBe("STORAGE_FULL");
        expect(await readdir(`${root}/uploads`)).toEqual([]);
      }
      expect(digestOf(await (await served.ask("GET", `a/blobs/${kept}`)).bytes())).toBe(kept);
      await pushBlob(served, "a", noise(4_000_000, 5));
    } finally {
      await served.crash();
      await served.registry.close();
    }
  });
});
