// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { ProvError } from "../../../src/base/errors.ts";
import { type PlannedBlob, planArchive } from "../../../src/registry/archive/archive-plan.ts";
import type { Collection } from "../../../src/registry/archive/collect.ts";
import {
  type PartOfBlob,
  type WriteDeps,
  type Written,
  writeArchive,
} from "../../../src/registry/archive/write-archive.ts";
import { type Digest, digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { expectGolden } from "../../helpers/golden.ts";
import { noise, text } from "../served.ts";

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "prov-write-"));
});
afterAll(() => rm(work, { recursive: true }));

const contents = [noise(2000, 1), noise(512, 2), new Uint8Array(0), noise(700, 3)];
const blobs = new Map(
  contents.map((bytes, i) => [digestOf(bytes, i === 3 ? "sha512" : "sha256"), bytes]),
);
const manifest = text('{"schemaVersion":2}');

const collection: Collection = {
  artifacts: [
    {
      ...{ repository: "os/debian", tag: "13", digest: digestOf(manifest) },
      ...{ mediaType: MEDIA_TYPE.image, size: manifest.length },
    },
  ],
  manifests: new Map([[digestOf(manifest), manifest]]),
  blobs: new Map(
    [...blobs].map(([digest, { length: size }]) => [digest, { size, repository: "os/debian" }]),
  ),
  absent: [],
};
const plan = planArchive(collection, () => "signature\n");

interface Asked {
  readonly digest: Digest;
  readonly from: number;
}

/** A registry that gives each blob in small chunks, and verifies as the client does. */
function source(asked: Asked[], chunkSize = 300): WriteDeps["fetchBlob"] {
  return async function* (blob: PlannedBlob, have: PartOfBlob) {
    asked.push({ digest: blob.digest, from: have.size });
    const bytes = blobs.get(blob.digest) ?? text("");
    for (let at = have.size; at < bytes.length; at += chunkSize) {
      await Promise.resolve();
      const chunk = bytes.subarray(at, at + chunkSize);
      have.hasher.update(chunk);
      yield chunk;
    }
    if (!blob.digest.endsWith(`:${have.hasher.digest("hex")}`)) {
      throw new ProvError("wrong bytes", { code: "ARTIFACT_INVALID" });
    }
  };
}

/** Writes over what an earlier attempt has left. */
async function write(
  left: Uint8Array | undefined,
): Promise<Written & { bytes: Uint8Array; asked: Asked[] }> {
  const path = join(work, crypto.randomUUID());
  if (left !== undefined) await Bun.write(`${path}.part`, left);
  const asked: Asked[] = [];
  const written = await writeArchive(plan, path, { fetchBlob: source(asked), onProgress() {} });
  expect(existsSync(`${path}.part`)).toBe(false);
  const bytes = await Bun.file(path).bytes();
  await rm(path);
  return { ...written, bytes, asked };
}

let whole: Uint8Array;
beforeAll(async () => {
  whole = (await write(undefined)).bytes;
});

test("the plan knows the size, and the same artifacts give the same bytes", async () => {
  expect(whole.length).toBe(plan.size);
  const again = await write(undefined);
  expect(Buffer.compare(again.bytes, whole)).toBe(0);
  expect(again).toMatchObject({ resumedAt: 0, discarded: 0 });
});

test("GNU tar lists the archive, and takes its index out", async () => {
  const path = join(work, "listed.tar");
  await Bun.write(path, whole);
  const env = { PATH: process.env.PATH ?? "", LC_ALL: "C", TZ: "UTC" };
  const tar = async (...argv: readonly string[]): Promise<string> => {
    const child = Bun.spawn(["tar", ...argv], { env, stdout: "pipe", stderr: "pipe" });
    expect(await child.stderr.text()).toBe("");
    return await child.stdout.text();
  };
  const index = JSON.stringify(JSON.parse(await tar("-xOf", path, "index.json")), null, 2);
  await expectGolden("registry/archive.txt", `${await tar("-tvf", path)}\n${index}\n`);
});

test("the plan does not depend on the order in which things were found", () => {
  const reversed = {
    ...collection,
    blobs: new Map([...collection.blobs].reverse()),
    artifacts: [...collection.artifacts].reverse(),
  };
  expect(planArchive(reversed, () => "signature\n")).toEqual(plan);
});

/** Where fields, headers, contents and padding begin and end, and a byte to both sides. */
const edges = plan.entries
  .flatMap(({ start, header, size }) => [
    start,
    start + header.length,
    start + header.length + size,
  ])
  .flatMap((offset) => [offset - 1, offset, offset + 1, offset + 100])
  .filter((offset) => offset >= 0 && offset <= plan.size);

test("R49: an export goes on from wherever it broke, and does not fetch what is there", async () => {
  for (const length of new Set([...edges, plan.size - 1, plan.size])) {
    const { bytes, resumedAt, asked } = await write(whole.subarray(0, length));
    expect(Buffer.compare(bytes, whole)).toBe(0);
    expect(resumedAt).toBeLessThanOrEqual(length);
    for (const { digest, from } of asked) {
      const entry = plan.entries.find(({ name }) => name.endsWith(digest.split(":")[1] ?? ""));
      const content = (entry?.start ?? 0) + (entry?.header.length ?? 0);
      expect(content + from).toBe(Math.max(content, resumedAt));
    }
  }
});

test("whatever is damaged in the part that is there is written again", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(plan.size),
      fc.array(fc.tuple(fc.nat(plan.size - 1), fc.integer({ min: 1, max: 255 })), { maxLength: 3 }),
      async (length, changes) => {
        const left = Buffer.from(whole.subarray(0, length));
        for (const [at, difference] of changes) {
          if (at < left.length) left[at] = (left[at] ?? 0) ^ difference;
        }
        expect(Buffer.compare((await write(left)).bytes, whole)).toBe(0);
      },
    ),
    { numRuns: 200 },
  );
});

test("a part of other artifacts is written anew, and that is told", async () => {
  const { bytes, resumedAt, discarded } = await write(noise(plan.size, 9));
  expect(Buffer.compare(bytes, whole)).toBe(0);
  expect({ resumedAt, discarded }).toEqual({ resumedAt: 0, discarded: plan.size });
});

test("what lies beyond the archive in an old part is cut off", async () => {
  const { bytes } = await write(Buffer.concat([whole, noise(5000)]));
  expect(Buffer.compare(bytes, whole)).toBe(0);
});

test("a blob that comes wrong ends the export, and no archive appears", async () => {
  const path = join(work, "wrong.tar");
  const fetchBlob: WriteDeps["fetchBlob"] = async function* (blob, have) {
    yield* source([])(blob, have);
    if (blob.size === 2000) throw new ProvError("wrong bytes", { code: "ARTIFACT_INVALID" });
  };
  const writing = writeArchive(plan, path, { fetchBlob, onProgress() {} });
  await expect(writing).rejects.toThrow("wrong bytes");
  expect(existsSync(path)).toBe(false);
  expect(existsSync(`${path}.part`)).toBe(true);
});

test("an export that is stopped stops, and keeps what it has", async () => {
  const path = join(work, "stopped.tar");
  const stop = new AbortController();
  const writing = writeArchive(plan, path, {
    fetchBlob: source([]),
    signal: stop.signal,
    onProgress: (_, done) => {
      if (done > plan.size / 2) stop.abort(new DOMException("stopped", "AbortError"));
    },
  });
  await expect(writing).rejects.toThrow("stopped");
  expect(Bun.file(`${path}.part`).size).toBeGreaterThan(plan.size / 2);
});

test("progress grows to the whole", async () => {
  const path = join(work, "progress.tar");
  await Bun.write(`${path}.part`, whole.subarray(0, 4000));
  const seen: number[] = [];
  const phases = new Set<string>();
  await writeArchive(plan, path, {
    fetchBlob: source([]),
    onProgress: (phase, done, total) => {
      expect(total).toBe(plan.size);
      phases.add(phase);
      seen.push(done);
    },
  });
  expect([...phases]).toEqual(["checking", "writing"]);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(seen.at(-1)).toBe(plan.size);
});

test("an archive that cannot fit is refused before anything is fetched", async () => {
  const large = planArchive(
    {
      ...collection,
      blobs: new Map([[digestOf("large"), { size: 2 ** 50, repository: "os/debian" }]]),
    },
    null,
  );
  const asked: Asked[] = [];
  const path = join(work, "large.tar");
  const writing = writeArchive(large, path, { fetchBlob: source(asked), onProgress() {} });
  await expect(writing).rejects.toMatchObject({ code: "DISK_FULL" });
  expect(asked).toEqual([]);
});

test("a manifest that is somewhere a layer as well is in the archive once", () => {
  const layer = { size: manifest.length, repository: "os/debian" };
  const twice = new Map([[digestOf(manifest), layer]]);
  const { entries } = planArchive({ ...collection, blobs: twice }, null);
  expect(entries.map(({ name }) => name.slice(0, 8))).toEqual(["oci-layo", "index.js", "blobs/sh"]);
});

test("nothing is no archive", () => {
  expect(() => planArchive({ ...collection, artifacts: [] }, null)).toThrow("no artifact fits");
});
