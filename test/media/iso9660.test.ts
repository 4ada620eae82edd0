// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { findExtent, readVolumeId } from "../../src/media/iso-reader.ts";
import { buildIso, type IsoFile } from "../../src/media/iso9660.ts";
import { expectGolden } from "../helpers/golden.ts";
import { extract, run, scratch } from "./xorriso.ts";

const utf8 = new TextEncoder();
const EPOCH = 1_700_000_000;
const FILES: readonly IsoFile[] = [
  { name: "recipe.json", bytes: utf8.encode('{"task_target":"install-linux.target"}\n') },
  { name: "recipe.schema.json", bytes: new Uint8Array(5000).fill(65) },
  { name: "task.json", bytes: new Uint8Array(2048).fill(66) },
  { name: "user-data", bytes: utf8.encode("#cloud-config\n") },
  { name: "ks.cfg", bytes: utf8.encode("vmaccepteula\n") },
  { name: "empty", bytes: new Uint8Array(0) },
  { name: `${"long-".repeat(40)}name`, bytes: utf8.encode("goes to the continuation area") },
];
const build = (files = FILES) => buildIso({ volumeId: "TASK_0123", files, epoch: EPOCH });

test.each([
  { what: "descriptor", options: ["-d"] },
  { what: "path-table", options: ["-p"] },
  { what: "plain", options: ["-l"] },
  { what: "rock-ridge", options: ["-l", "-R"] },
  { what: "joliet", options: ["-l", "-J"] },
])("R17 isoinfo reads what it calls $what", async ({ what, options }) => {
  using dir = scratch();
  const iso = join(dir.path, "a.iso");
  await Bun.write(iso, build());
  await expectGolden(`media/isoinfo-${what}.txt`, run("isoinfo", ...options, "-i", iso));
});

test("R17 xorriso reads names, modes, owners, times and descriptors without a warning", async () => {
  using dir = scratch();
  const iso = join(dir.path, "a.iso");
  await Bun.write(iso, build());
  const listing = run(
    "xorriso",
    "-abort_on",
    "WARNING",
    "-indev",
    iso,
    "-find",
    "/",
    "-exec",
    "lsdl",
    "--",
  );
  const pvd = run("xorriso", "-abort_on", "WARNING", "-indev", iso, "-pvd_info");
  const withoutPath = (text: string) => text.replaceAll(/^Drive current: .*\n/gm, "");
  await expectGolden("media/xorriso.txt", withoutPath(listing + pvd));
});

test("R17 xorriso restores every file byte by byte", async () => {
  using dir = scratch();
  const iso = join(dir.path, "a.iso");
  await Bun.write(iso, build());
  const restored = await extract(iso, join(dir.path, "out"));
  const expected = FILES.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  expect([...restored]).toEqual(expected.map((f) => [f.name, new Uint8Array(f.bytes)]));
  const { mode, mtimeMs } = statSync(join(dir.path, "out/recipe.json"));
  expect({ mode: mode & 0o7777, mtimeMs }).toEqual({ mode: 0o444, mtimeMs: EPOCH * 1000 });
});

test("R17 blkid shows the whole volume id, which Joliet alone would cut to 16 characters", async () => {
  using dir = scratch();
  const iso = join(dir.path, "a.iso");
  const volumeId = "TASK_0123456789ABCDEF0123456789A";
  await Bun.write(iso, buildIso({ volumeId, files: FILES, epoch: EPOCH }));
  expect(run("blkid", "-p", "-o", "value", "-s", "LABEL", iso)).toBe(`${volumeId}\n`);
});

test("R17 the image does not depend on the order of the files", () => {
  expect(Bun.SHA256.hash(build(FILES.toReversed()), "hex")).toBe(Bun.SHA256.hash(build(), "hex"));
});

/** Names of every length, and of few letters so that the shortened ones collide. */
const fileName = fc
  .oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 60 }),
    fc.string({ unit: fc.constantFrom("a", "A", "b", ".", "-", "_"), minLength: 1, maxLength: 80 }),
    fc.string({ unit: fc.constantFrom("x", "é", "."), minLength: 100, maxLength: 125 }),
  )
  .filter((name) => !/[/\0]/.test(name) && name.isWellFormed() && name !== "." && name !== "..");

const fileSet = fc.uniqueArray(
  fc.record({ name: fileName, bytes: fc.uint8Array({ maxLength: 5000 }) }),
  { selector: (file) => file.name, maxLength: 60 },
);

test("R17 any set of files reads back under its names", () => {
  fc.assert(
    fc.property(fileSet, (files) => {
      const image = build(files);
      const read = (offset: number, length: number) => image.subarray(offset, offset + length);
      expect(image.length % 2048).toBe(0);
      expect(readVolumeId(read)).toBe("TASK_0123");
      for (const { name, bytes } of files) {
        const extent = findExtent(read, `/${name}`);
        expect(Buffer.from(read(extent.offset, extent.size)).equals(bytes)).toBe(true);
      }
    }),
    { numRuns: 100 },
  );
});

/** What a restored file may be called on the file system of the host and in xorriso's own output. */
const plainFileSet = fileSet.map((files) => files.filter((f) => !/[\p{Cc}\p{Cn}]/u.test(f.name)));

test("R17 xorriso restores any set of files", async () => {
  await fc.assert(
    fc.asyncProperty(plainFileSet, async (files) => {
      using dir = scratch();
      const iso = join(dir.path, "a.iso");
      await Bun.write(iso, build(files));
      const restored = await extract(iso, join(dir.path, "out"));
      const expected = new Map(files.map((f) => [f.name, new Uint8Array(f.bytes)]));
      expect(new Map([...restored].toSorted())).toEqual(new Map([...expected].toSorted()));
    }),
    { numRuns: 15 },
  );
});

test("R17 identifiers are legal, unique and in order in both trees", async () => {
  using dir = scratch();
  const iso = join(dir.path, "a.iso");
  const names = [
    "a.b",
    "A.B",
    "a-b",
    "a_b",
    "a",
    "a.b0",
    "recipe.schema.json",
    "recipe_schema.json",
  ];
  await Bun.write(iso, build(names.map((name) => ({ name, bytes: new Uint8Array(1) }))));
  await expectGolden("media/identifiers-plain.txt", run("isoinfo", "-f", "-i", iso));
  await expectGolden("media/identifiers-joliet.txt", run("isoinfo", "-f", "-J", "-i", iso));
});

const withNames = (...names: string[]) => ({
  files: names.map((name) => ({ name, bytes: new Uint8Array(0) })),
});

test.each([
  { what: "a small letter in the volume id", input: { volumeId: "Task" } },
  { what: "an empty volume id", input: { volumeId: "" } },
  { what: "a volume id of 33 characters", input: { volumeId: "A".repeat(33) } },
  { what: "a date before 1970", input: { epoch: -1 } },
  { what: "half a second", input: { epoch: 0.5 } },
  { what: "the year 2156", input: { epoch: Date.UTC(2156, 0, 1) / 1000 } },
  { what: "an empty name", input: withNames("") },
  { what: "a slash in a name", input: withNames("a/b") },
  { what: "a NUL in a name", input: withNames("a\0b") },
  { what: "the name ..", input: withNames("..") },
  { what: "half of a surrogate pair", input: withNames("a\ud800") },
  { what: "a name of 251 bytes", input: withNames("x".repeat(251)) },
  { what: "a name that is there twice", input: withNames("a", "b", "a") },
])("buildIso() refuses $what", ({ input }) => {
  expect(() => buildIso({ volumeId: "A", files: [], epoch: 0, ...input })).toThrow(
    expect.objectContaining({ code: "MEDIA_INVALID" }),
  );
});

test("the longest name, the last date and no file at all are accepted", () => {
  const last = Date.UTC(2156, 0, 1) / 1000 - 1;
  const input = { volumeId: "A".repeat(32), ...withNames("x".repeat(250)), epoch: last };
  expect(buildIso(input).length).toBe(26 * 2048);
  expect(buildIso({ volumeId: "A", files: [], epoch: 0 }).length).toBe(26 * 2048);
});
