// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockRoot } from "../../../src/registry/storage/root-lock.ts";

const HOLDER = `
  const { lockRoot } = await import(${JSON.stringify(join(import.meta.dir, "../../../src/registry/storage/root-lock.ts"))});
  globalThis.lock = await lockRoot(process.argv[1]);
  console.log("held");
  setInterval(() => {}, 1000);
`;

async function hold(root: string) {
  const child = Bun.spawn([process.execPath, "-e", HOLDER, root], {
    stdout: "pipe",
    stderr: "ignore",
  });
  await child.stdout.getReader().read();
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

test("one process at a time: another one is refused, until the first is gone, however it went", async () => {
  const root = await mkdtemp(join(tmpdir(), "prov-lock-"));
  try {
    {
      await using _ = await hold(root);
      await expect(lockRoot(root)).rejects.toMatchObject({
        code: "CONFLICT",
        message: `Cannot open the registry in ${root}: another prov is using it`,
      });
    }
    const lock = await lockRoot(root);
    await expect(lockRoot(root)).rejects.toMatchObject({ code: "CONFLICT" });
    lock.release();
    (await lockRoot(root)).release();
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
