// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { readAtOf } from "../../../src/registry/archive/read-at.ts";
import {
  BLOCK,
  checksumOf,
  END_BYTES,
  FIELD,
  paddingOf,
  tarHeader,
} from "../../../src/registry/archive/tar-header.ts";
import { readTar, type TarEntry } from "../../../src/registry/archive/tar-reader.ts";
import { noise, text } from "../served.ts";

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "prov-tar-"));
});
afterAll(() => rm(work, { recursive: true }));

interface File {
  readonly name: string;
  readonly content: Uint8Array;
}

function tarOf(files: readonly File[]): Buffer {
  const parts = files.flatMap(({ name, content }) => [
    tarHeader(name, content.byteLength),
    content,
    new Uint8Array(paddingOf(content.byteLength)),
  ]);
  return Buffer.concat([...parts, new Uint8Array(END_BYTES)]);
}

const readBuffer = (bytes: Uint8Array): Promise<TarEntry[]> =>
  Array.fromAsync(
    readTar(
      (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
      bytes.length,
    ),
  );

async function tar(...argv: readonly string[]): Promise<string> {
  const env = { PATH: process.env.PATH ?? "", LC_ALL: "C", TZ: "UTC" };
  const child = Bun.spawn(["tar", ...argv], { cwd: work, stdout: "pipe", stderr: "pipe", env });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0 || err !== "") throw new Error(`tar ${argv.join(" ")}: ${err}`);
  return out;
}

const names = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,60}(\/[a-z0-9][a-z0-9.-]{0,60}){0,3}$/);
const files = fc.uniqueArray(
  fc.record({ name: names, content: fc.uint8Array({ maxLength: 1200 }) }),
  { selector: ({ name }) => name, maxLength: 6 },
);

test("what is written is read: the same names and sizes, and the bytes where it says", async () => {
  await fc.assert(
    fc.asyncProperty(files, async (written) => {
      const bytes = tarOf(written);
      const found = await readBuffer(bytes);
      const contents = found.map(({ name, offset, size }) => ({
        name,
        content: new Uint8Array(bytes.subarray(offset, offset + size)),
      }));
      expect(contents).toEqual(written.map(({ name, content }) => ({ name, content })));
    }),
  );
});

test("GNU tar lists and unpacks what is written, long names too", async () => {
  const written = [
    { name: "oci-layout", content: text("{}") },
    { name: `blobs/sha512/${"a".repeat(128)}`, content: noise(5000) },
    { name: "empty", content: text("") },
  ];
  await Bun.write(join(work, "own.tar"), tarOf(written));
  expect(await tar("-tf", "own.tar")).toBe(`${written.map(({ name }) => name).join("\n")}\n`);
  await tar("-xf", "own.tar");
  for (const { name, content } of written) {
    expect(new Uint8Array(await Bun.file(join(work, name)).arrayBuffer())).toEqual(content);
  }
});

test("an entry of more than 8 GiB has its right size, for GNU tar and for prov", async () => {
  const sizes = [8 * 1024 ** 3 - 1, 8 * 1024 ** 3, 9 * 1024 ** 3 + 5];
  const path = join(work, "large.tar");
  const handle = await open(path, "w+");
  let at = 0;
  for (const [i, size] of sizes.entries()) {
    const header = tarHeader(`blob-${i}`, size);
    await handle.write(header, 0, header.length, at);
    at += header.length + size + paddingOf(size);
  }
  await handle.truncate(at + END_BYTES);
  const listed = await tar("-tvf", "large.tar");
  expect(listed.split("\n").map((line) => Number(line.split(/\s+/)[2]))).toEqual([
    ...sizes,
    Number.NaN,
  ]);
  const found = await Array.fromAsync(readTar(readAtOf(handle), at + END_BYTES));
  expect(found.map(({ size }) => size)).toEqual(sizes);
  await handle.close();
  // Sparse: the test takes no space.
  expect((await stat(path)).blocks).toBeLessThan(1000);
});

test.each(["ustar", "pax", "gnu", "v7"])("what GNU tar writes as %s is read", async (format) => {
  const name = format === "v7" ? "short" : `blobs/sha512/${"b".repeat(80)}`;
  const long = ["pax", "gnu"].includes(format) ? `blobs/sha512/${"c".repeat(128)}` : "other";
  await Bun.write(join(work, format, name), "one");
  await Bun.write(join(work, format, long), "three");
  await tar("--format", format, "-cf", `${format}.tar`, "-C", format, ".");
  const bytes = await Bun.file(join(work, `${format}.tar`)).bytes();
  const found = await readBuffer(bytes);
  expect(found.map(({ name: each, size }) => `${each} ${size}`).sort()).toEqual(
    [`${name} 3`, `${long} 5`].sort(),
  );
});

/** A header with some of its bytes replaced, and a checksum that is right again. */
function forged(fields: Partial<Record<keyof typeof FIELD, string | Uint8Array>>): Buffer {
  const block = Buffer.from(tarHeader("name", 3));
  for (const [name, value] of Object.entries(fields)) {
    const [offset, length] = FIELD[name as keyof typeof FIELD];
    block.fill(0, offset, offset + length);
    block.set(Buffer.from(value), offset);
  }
  if (!("checksum" in fields)) {
    block.write(`${checksumOf(block).toString(8).padStart(6, "0")}\0 `, FIELD.checksum[0]);
  }
  return block;
}

const whole = (...blocks: readonly Uint8Array[]) =>
  Buffer.concat([...blocks, new Uint8Array(BLOCK), new Uint8Array(END_BYTES)]);

/** A pax header with these records, and the file it is about. */
function withPax(records: string, name = "name"): Buffer {
  const content = Buffer.alloc(BLOCK);
  content.write(records);
  const size = records.length.toString(8).padStart(11, "0");
  return whole(forged({ type: "x", size }), content, forged({ name }));
}

test("GNU's base-256 sizes are read", async () => {
  const bytes = new Uint8Array(12);
  bytes[0] = 0x80;
  bytes[11] = 3;
  expect(await readBuffer(whole(forged({ size: bytes })))).toEqual([
    { name: "name", size: 3, offset: BLOCK },
  ]);
});

test.each([
  ["a leading ./", forged({ name: "./a//b" }), "a/b"],
  ["a ustar prefix", forged({ name: "b", prefix: "a" }), "a/b"],
])("a name with %s is made plain", async (_, header, name) => {
  expect((await readBuffer(whole(header)))[0]?.name).toBe(name);
});

test.each([
  ["nothing", new Uint8Array(0), "it is no tar archive"],
  ["something else", Buffer.alloc(BLOCK, "x"), "it is no tar archive"],
  ["no end mark", Buffer.concat([forged({}), Buffer.alloc(BLOCK)]), "it is cut off at offset 1024"],
  ["a way up", whole(forged({ name: "../a" })), "leads out of it"],
  ["a way up in the middle", whole(forged({ name: "a/../../b" })), "leads out of it"],
  ["an absolute name", whole(forged({ name: "/etc/passwd" })), "leads out of it"],
  ["a backslash", whole(forged({ name: "a\\..\\b" })), "leads out of it"],
  ["a way up in a pax header", withPax("13 path=../x\n"), "leads out of it"],
  ["a way up in a directory", whole(forged({ name: "../a", type: "5" })), "leads out of it"],
  [
    "a size beyond the end",
    whole(forged({ size: "00000100000" })),
    "the entry at offset 0 has 32768 bytes, and the archive ends after 1536",
  ],
  ["a negative size", whole(forged({ size: new Uint8Array(12).fill(0xff) })), "no valid size"],
  ["a size of letters", whole(forged({ size: "1zz" })), "no valid size"],
  ["a size without end", withPax("26 size=99999999999999999\n"), "no valid size"],
  ["a pax size of letters", withPax("12 size=1e9\n"), "no valid size"],
  ["a pax size that is negative", withPax("11 size=-1\n"), "no valid size"],
  ["a pax record that is too long", withPax("99 path=x\n"), "pax header at offset 0 is damaged"],
  ["a pax record without length", withPax("path=x\n"), "pax header at offset 0 is damaged"],
  ["GNU's sparse files", withPax("22 GNU.sparse.major=1\n"), "a sparse file"],
  [
    "a huge pax header",
    Buffer.concat([forged({ type: "x", size: "00000300000" }), Buffer.alloc(200 * 1024)]),
    "is 98304 bytes long",
  ],
  [
    "a damaged second header",
    Buffer.concat([forged({}), Buffer.alloc(BLOCK), Buffer.alloc(BLOCK, "x")]),
    "the header at offset 1024 is damaged",
  ],
] as const)("an archive with %s is refused", async (_, bytes, message) => {
  await expect(readBuffer(bytes)).rejects.toThrow(message);
  await expect(readBuffer(bytes)).rejects.toBeInstanceOf(SyntaxError);
});

test.each([
  ["1", "a hard link"],
  ["2", "a symbolic link"],
  ["3", "a character device"],
  ["4", "a block device"],
  ["6", "a FIFO"],
  ["S", "a sparse file"],
  ["Z", 'of the unknown type "Z"'],
])("an entry of type %s is told apart from a file", async (type, oddity) => {
  expect(await readBuffer(whole(forged({ type })))).toEqual([
    { name: "name", size: 3, offset: BLOCK, oddity },
  ]);
});

test("no bytes make the reader fail in another way than by saying what is wrong", async () => {
  const start = tarOf([{ name: "a", content: text("abc") }]);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(start.length - 1), fc.nat(255)), { maxLength: 8 }),
      async (changes) => {
        const bytes = Buffer.from(start);
        for (const [at, value] of changes) bytes[at] = value;
        const error = await readBuffer(bytes).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        if (error !== undefined) expect(error).toBeInstanceOf(SyntaxError);
      },
    ),
  );
});
