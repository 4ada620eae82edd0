// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { truncateSync, utimesSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { hintOf } from "../../src/base/errors.ts";
import { findExtent } from "../../src/media/iso-reader.ts";
import { buildIso } from "../../src/media/iso9660.ts";
import {
  combinedIso,
  overlay,
  overlaySpans,
  type Patch,
  readOverlay,
  statBase,
} from "../../src/media/overlay.ts";
import { spanChunks } from "../../src/media/spans.ts";
import { scratch } from "./xorriso.ts";

/** The reference: copy the whole base and overwrite. */
function splice(base: Uint8Array, patches: readonly Patch[]): Uint8Array {
  const copy = base.slice();
  for (const { offset, bytes } of patches) copy.set(bytes, offset);
  return copy;
}

const BASE_BYTES = 5000;

const patchSet = fc
  .array(fc.tuple(fc.nat(400), fc.uint8Array({ maxLength: 400 })), { maxLength: 6 })
  .map((parts) => {
    let at = 0;
    return parts.map(([gap, bytes]) => {
      const patch = { offset: at + gap, bytes };
      at = patch.offset + bytes.length;
      return patch;
    });
  });

test("R20 bytes of any range are those of a real splice", async () => {
  using dir = scratch();
  const path = join(dir.path, "base");
  const bytes = Uint8Array.from({ length: BASE_BYTES }, (_, i) => i % 251);
  await Bun.write(path, bytes);
  const base = statBase(path);
  await fc.assert(
    fc.asyncProperty(patchSet, fc.nat(BASE_BYTES), fc.nat(BASE_BYTES), async (patches, a, b) => {
      const [start, end] = [Math.min(a, b), Math.max(a, b)];
      const image = overlay(base, patches.toReversed());
      const expected = Buffer.from(splice(bytes, patches)).subarray(start, end);
      const streamed = await Array.fromAsync(spanChunks(overlaySpans(image, start, end)));
      expect(Buffer.concat(streamed).equals(expected)).toBe(true);
      expect(Buffer.from(readOverlay(image, start, end - start)).equals(expected)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test.each([
  { start: 0, end: 10, spans: ["0-2", "ab", "4-6", "cd", "8-10"] },
  { start: 2, end: 4, spans: ["ab"] },
  { start: 4, end: 6, spans: ["4-6"] },
  { start: 3, end: 7, spans: ["b", "4-6", "c"] },
  { start: 5, end: 5, spans: [] },
])("overlaySpans() of [$start, $end) has no empty part", async ({ start, end, spans }) => {
  using dir = scratch();
  const path = join(dir.path, "base");
  await Bun.write(path, "0123456789");
  const image = overlay(statBase(path), [
    { offset: 2, bytes: Buffer.from("ab") },
    { offset: 6, bytes: Buffer.from("cd") },
    { offset: 9, bytes: Buffer.alloc(0) },
  ]);
  const parts = overlaySpans(image, start, end).map((span) =>
    span.kind === "file" ? `${span.start}-${span.end}` : Buffer.from(span.bytes).toString(),
  );
  expect(parts).toEqual([...spans]);
});

test("readOverlay() ends where the image ends", async () => {
  using dir = scratch();
  const path = join(dir.path, "base");
  await Bun.write(path, "0123456789");
  const image = overlay(statBase(path), [{ offset: 8, bytes: Buffer.from("AB") }]);
  expect(Buffer.from(readOverlay(image, 7, 100)).toString()).toBe("7AB");
  expect(readOverlay(image, 10, 5)).toHaveLength(0);
  expect(readOverlay(image, 99, 5)).toHaveLength(0);
});

test.each([
  {
    what: "overlap",
    patches: [
      [0, "abc"],
      [2, "d"],
    ],
    message: "overlap at byte 2",
  },
  { what: "are past the end", patches: [[8, "abc"]], message: "byte 11 is past its end" },
  { what: "begin before the base", patches: [[-1, "a"]], message: "overlap at byte -1" },
] as const)("overlay() refuses patches that $what", async ({ patches, message }) => {
  using dir = scratch();
  const path = join(dir.path, "base");
  await Bun.write(path, "0123456789");
  const lay = () =>
    overlay(
      statBase(path),
      patches.map(([offset, text]) => ({ offset, bytes: Buffer.from(text) })),
    );
  expect(lay).toThrow(message);
});

/** A maintenance ISO with a reserved file of this size, not filled with zeros so that edges show. */
const maintenanceIso = (reserved: number, before = 100) =>
  buildIso({
    volumeId: "PROV_MAINT",
    files: [
      { name: "boot.img", bytes: new Uint8Array(before).fill(1) },
      { name: "task.img", bytes: new Uint8Array(reserved).fill(0xee) },
      { name: "vmlinuz", bytes: new Uint8Array(9000).fill(3) },
    ],
    epoch: 0,
  });

test("R20 combinedIso() puts the task ISO at the reserved file and leaves the rest", async () => {
  using dir = scratch();
  const path = join(dir.path, "maintenance.iso");
  const base = maintenanceIso(65_536);
  await Bun.write(path, base);
  const task = buildIso({ volumeId: "TASK_1", files: [], epoch: 0 });
  const image = combinedIso(path, task);
  const { offset } = findExtent((o, n) => readOverlay(image, o, n), "/task.img");
  const served = readOverlay(image, 0, base.length);
  expect(Buffer.from(served).equals(splice(base, [{ offset, bytes: task }]))).toBe(true);
  expect(served[offset + task.length]).toBe(0xee);
});

test("combinedIso() refuses too little room and says what to do", async () => {
  using dir = scratch();
  const path = join(dir.path, "maintenance.iso");
  await Bun.write(path, maintenanceIso(4096));
  const combine = () => combinedIso(path, new Uint8Array(4097));
  expect(combine).toThrow("over");
  expect(combine).toThrow(expect.objectContaining({ code: "MEDIA_INVALID" }));
  expect(combine).toThrow(
    expect.objectContaining({ hint: expect.stringContaining("larger /task.img") }),
  );
  expect(combinedIso(path, new Uint8Array(4096)).patches).toHaveLength(1);
});

test("combinedIso() refuses what is no maintenance ISO, with a hint", async () => {
  using dir = scratch();
  const path = join(dir.path, "other.iso");
  const attempt = () => {
    try {
      combinedIso(path, new Uint8Array(1));
    } catch (error) {
      return { code: (error as { code?: string }).code, hint: hintOf(error) };
    }
    return "accepted";
  };
  expect(attempt()).toEqual({ code: "MEDIA_INVALID", hint: undefined });
  const hint = "Use a maintenance ISO of this version of prov, which reserves /task.img.";
  await Bun.write(path, "no ISO");
  expect(attempt()).toEqual({ code: "MEDIA_INVALID", hint });
  await Bun.write(path, buildIso({ volumeId: "A", files: [], epoch: 0 }));
  expect(attempt()).toEqual({ code: "MEDIA_INVALID", hint });
  await Bun.write(path, maintenanceIso(65_536));
  truncateSync(path, 70_000);
  expect(attempt()).toEqual({ code: "MEDIA_INVALID", hint });
});

test("combinedIso() looks again when the file has changed", async () => {
  using dir = scratch();
  const path = join(dir.path, "maintenance.iso");
  const offsetOf = () => combinedIso(path, new Uint8Array(1)).patches[0]?.offset;
  await Bun.write(path, maintenanceIso(4096, 100));
  const first = offsetOf();
  await Bun.write(path, maintenanceIso(4096, 2148));
  expect(offsetOf()).toBe((first ?? 0) + 2048);
  // Same length, other time.
  await Bun.write(path, maintenanceIso(2048, 4196));
  utimesSync(path, 1, 1);
  expect(offsetOf()).toBe((first ?? 0) + 4096);
});
