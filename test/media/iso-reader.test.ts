// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { findExtent, type ReadAt, readVolumeId } from "../../src/media/iso-reader.ts";
import { run, scratch } from "./xorriso.ts";

const over =
  (image: Uint8Array): ReadAt =>
  (offset, length) =>
    image.subarray(offset, offset + length);

/** An ISO of many files in directories, as another tool writes it. */
async function foreignIso(...argv: string[]): Promise<Uint8Array> {
  using dir = scratch();
  const tree = join(dir.path, "tree");
  mkdirSync(join(tree, "EFI/boot"), { recursive: true });
  await Bun.write(join(tree, "EFI/boot/boot.cfg"), "kernelopt=\n");
  await Bun.write(join(tree, `EFI/boot/${"n".repeat(200)}`), "long name");
  for (let i = 0; i < 80; i++) await Bun.write(join(tree, `file-${i}.txt`), `content ${i}`);
  await Bun.write(join(tree, "task.img"), new Uint8Array(10_000).fill(7));
  const iso = join(dir.path, "a.iso");
  run(...argv, "-o", iso, tree);
  return await Bun.file(iso).bytes();
}

test.each([
  {
    tool: "xorriso",
    argv: ["xorriso", "-as", "mkisofs", "-R", "-J", "-quiet", "-V", "PROV_MAINT"],
  },
  {
    tool: "genisoimage",
    argv: ["genisoimage", "-R", "-J", "-joliet-long", "-quiet", "-V", "PROV_MAINT"],
  },
])("findExtent() finds files by Rock Ridge name in an image of $tool", async ({ argv }) => {
  const image = await foreignIso(...argv);
  const text = (path: string) => {
    const { offset, size } = findExtent(over(image), path);
    return Buffer.from(image.subarray(offset, offset + size)).toString();
  };
  expect(readVolumeId(over(image))).toBe("PROV_MAINT");
  expect(text("/task.img")).toBe("\x07".repeat(10_000));
  expect(text("/EFI/boot/boot.cfg")).toBe("kernelopt=\n");
  expect(text(`/EFI/boot/${"n".repeat(200)}`)).toBe("long name");
  expect(text("/file-79.txt")).toBe("content 79");
});

test("findExtent() without Rock Ridge uses ISO names in lower case", async () => {
  const image = await foreignIso("genisoimage", "-l", "-quiet", "-V", "PLAIN");
  const { offset, size } = findExtent(over(image), "/efi/boot/boot.cfg");
  expect(Buffer.from(image.subarray(offset, offset + size)).toString()).toBe("kernelopt=\n");
});

test("what is not there or not a file is refused", async () => {
  const image = await foreignIso("xorriso", "-as", "mkisofs", "-R", "-quiet");
  const find = (path: string) => () => findExtent(over(image), path);
  expect(find("/nothing")).toThrow("Cannot find /nothing in the ISO image");
  expect(find("/task.img/x")).toThrow("Cannot find /task.img/x in the ISO image");
  expect(find("/EFI")).toThrow("it is a directory");
  expect(find("/")).toThrow("it is a directory");
});

test.each([
  { what: "nothing", image: new Uint8Array(0), message: "no primary volume descriptor" },
  { what: "zeros", image: new Uint8Array(100_000), message: "no primary volume descriptor" },
])("findExtent() refuses $what", ({ image, message }) => {
  expect(() => findExtent(over(image), "/a")).toThrow(message);
  expect(() => readVolumeId(over(image))).toThrow(message);
});

test("an image that ends inside of its directory is refused", async () => {
  const image = await foreignIso("xorriso", "-as", "mkisofs", "-R", "-quiet");
  const root = new DataView(image.buffer, image.byteOffset).getUint32(16 * 2048 + 158, true);
  const cut = over(image.subarray(0, root * 2048 + 2048));
  expect(() => findExtent(cut, "/task.img")).toThrow("it ends before byte");
});
