// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { mkdtemp, readdir, rm, stat, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../src/registry/digest.ts";
import { filesBelow } from "../registry/files-below.ts";
import { openSite } from "../registry/mirror/site.ts";
import { until } from "../registry/raw.ts";
import {
  errorCode,
  exchange,
  noise,
  pushBlob,
  pushImage,
  serveRegistry,
} from "../registry/served.ts";

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

test("R49: what is there can be read while the disk has no room at all", async () => {
  await withSmallDisk(24, async (root) => {
    let now = Date.now();
    const served = await serveRegistry({ root, reserveBytes: 0, now: () => now });
    try {
      const bytes = noise(4_000_000);
      const digest = await pushBlob(served, "a", bytes);
      const image = await pushImage(served, "a", "v1");
      Bun.spawnSync(["dd", "if=/dev/zero", `of=${root}/full`, "bs=4k"]);
      // Long enough for a HEAD to count as another sighting, which is written down.
      now += 3600_000;
      const manifests = ["a/manifests/v1", `a/manifests/${image.digest}`];
      for (const path of [`a/blobs/${digest}`, ...manifests, "a/tags/list"]) {
        for (const method of ["HEAD", "GET"]) {
          const { status } = await served.ask(method, path);
          expect([method, path, status]).toEqual([method, path, 200]);
        }
      }
    } finally {
      await served.crash();
      await served.registry.close();
    }
  });
});

const MB = 1_000_000;

/** Bytes of the one upload that is under way. */
async function uploaded(root: string): Promise<number> {
  const [upload] = await readdir(join(root, "uploads"));
  return upload === undefined ? 0 : (await stat(join(root, "uploads", upload))).size;
}

/** A mirror's disk in MiB, what it is to leave free, and how much somebody else leaves it. */
const SHORTAGES = [
  { what: "the disk fills up", disk: 64, reserveBytes: 0, left: 2 * MB },
  { what: "the reserve is reached", disk: 160, reserveBytes: 40 * MB, left: 35 * MB },
];

for (const { what, disk, reserveBytes, left } of SHORTAGES) {
  const title = `R49: when ${what} in the middle of a mirror's pull, it breaks off and leaves nothing`;
  test(`${title}; with room it works again`, () => withSmallDisk(disk, runShort), 60_000);

  async function runShort(small: string): Promise<void> {
    const root = join(small, "registry");
    await using site = await openSite({ mirror: { root, reserveBytes } });
    // Longer than what is written between two looks at the reserve.
    const digest = await pushBlob(site.central, "os/debian", noise(50 * MB));
    const image = await pushImage(site.central, "os/debian", "13");
    const tagged = () => site.mirror.ask("GET", "os/debian/manifests/13");
    expect((await tagged()).status).toBe(200);
    const path = `os/debian/blobs/${digest}`;
    const go = Promise.withResolvers<void>();
    site.link.fault = ({ method }) =>
      method === "GET" ? { hold: { after: 10 * MB, until: go.promise } } : undefined;
    const request = `GET /v2/${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    const whole = exchange(site.mirror.port, request);
    const end = site.mirror.ask("GET", path, { headers: { range: "bytes=-10" } });
    await until(async () => (await uploaded(root)) > Math.max(9 * MB, site.link.passed() - 10_000));
    const { bavail, bsize } = await statfs(small);
    runProgram("fallocate", "--length", `${bavail * bsize - left}`, join(small, "other"));
    go.resolve();

    // Who has got nothing yet hears why; who has got some must not take it for all.
    const refused = await end;
    expect(refused.status).toBe(507);
    expect(await errorCode(refused)).toBe("STORAGE_FULL");
    const received = await whole;
    expect(received).toStartWith("HTTP/1.1 200");
    expect(received).not.toEndWith("0\r\n\r\n");
    expect(await readdir(join(root, "uploads"))).toEqual([]);
    expect(await filesBelow(join(root, "store"))).toHaveLength(1);
    expect((await tagged()).headers.get("docker-content-digest")).toBe(image.digest);
    expect((await site.mirror.ask("GET", path)).status).toBe(507);

    await rm(join(small, "other"));
    site.link.fault = () => undefined;
    expect(digestOf(await (await site.mirror.ask("GET", path)).bytes())).toBe(digest);
    expect(await readdir(join(root, "uploads"))).toEqual([]);
  }
}
