// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startQemu } from "../../../src/lab/machine/qemu-process.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "prov-qemu-"));
});
afterEach(() => rm(directory, { recursive: true }));

const PAUSED = ["-nodefaults", "-display", "none", "-S", "-qmp", "stdio", "-machine", "q35"];

test("trays take media from a URL, and lose them while paused and while running", async () => {
  const content = new Uint8Array(1024 * 1024);
  const media = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      const headers = { "Accept-Ranges": "bytes", "Content-Length": String(content.length) };
      if (request.method === "HEAD") return new Response(null, { headers });
      return new Response(content, { status: 206 });
    },
  });
  const qemu = await startQemu({
    arguments: [...PAUSED, "-device", "ide-cd,id=cd0,bus=ide.0"],
    log: join(directory, "log"),
  });
  try {
    const url = `http://127.0.0.1:${media.port}/boot.iso`;
    await qemu.insert(0, url);
    await qemu.insert(0, url);
    await qemu.eject(0);
    await qemu.run();
    await qemu.insert(0, url);
    await qemu.eject(0);
    await qemu.pressPowerButton();
    expect(qemu.insert(1, url)).rejects.toThrow("Cannot execute blockdev-change-medium");
  } finally {
    await qemu.kill();
    await media.stop(true);
  }
  expect(await qemu.ended).toBe("off");
});

test("QEMU's last words are in the error", () => {
  const started = startQemu({
    arguments: ["-machine", "no-such-machine"],
    log: join(directory, "log"),
  });
  expect(started).rejects.toThrow("unsupported machine type");
});

test("QEMU dies with the process that started it, even by SIGKILL", async () => {
  const script = join(directory, "parent.ts");
  const source = join(import.meta.dir, "../../../src/lab/machine/qemu-process.ts");
  const pidfile = join(directory, "pid");
  await Bun.write(
    script,
    `import { startQemu } from ${JSON.stringify(source)};
     await startQemu({ arguments: ${JSON.stringify([...PAUSED, "-pidfile", pidfile])}, log: ${JSON.stringify(join(directory, "log"))} });
     console.log("started");
     setInterval(() => {}, 1000);`,
  );
  const parent = Bun.spawn([process.execPath, script], { stdout: "pipe", stderr: "inherit" });
  for await (const _ of parent.stdout) break;
  const pid = Number(await Bun.file(pidfile).text());
  expect(isRunning(pid)).toBeTrue();
  parent.kill("SIGKILL");
  await parent.exited;
  const deadline = Date.now() + 3000;
  while (isRunning(pid) && Date.now() < deadline) await Bun.sleep(10);
  expect(isRunning(pid)).toBeFalse();
});

/** False for a zombie too: it waits only for its new parent. */
function isRunning(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  // proc_pid_stat(5): the state follows the name in parentheses.
  return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
}
