// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { findUnxz } from "../../../src/cli/xz.ts";
import { detectContent, HEAD_BYTES, type Unxz } from "../../../src/registry/client/detect.ts";
import {
  ARTIFACT_KINDS,
  KIND_OF_FORMAT,
  layerMediaType,
} from "../../../src/registry/client/media-types.ts";
import { noise } from "../served.ts";

/** Programs of others, on a machine that has other things to do as well. */
const TOOLS_TIMEOUT = 30_000;

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "prov-detect-"));
  await Bun.write(join(work, "noise"), noise(300_000));
  await Bun.write(join(work, "words"), "words\n".repeat(30_000));
});
afterAll(() => rm(work, { recursive: true, force: true }));

/** Runs shell words in the work directory. */
async function sh(script: string): Promise<void> {
  const child = Bun.spawn(["sh", "-euc", script], {
    cwd: work,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: work },
    stdout: "ignore",
    stderr: "pipe",
  });
  const complaint = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(`${script}: ${complaint}`);
}

const unxz = findUnxz(process.env.PATH) ?? null;

async function detect(name: string, unpack: Unxz | null = unxz) {
  const head = await Bun.file(join(work, name)).slice(0, HEAD_BYTES).bytes();
  const { format, compression } = await detectContent(head, name, unpack ?? undefined);
  const kind = KIND_OF_FORMAT[format];
  return { kind, type: layerMediaType(format, compression) };
}

const OCI = "application/vnd.oci.image.layer.v1.tar";

describe("what real tools have made", () => {
  test(
    "tars, however they are packed, and whatever is in them",
    async () => {
      await sh(`
      tar --create --file=plain.tar noise words
      tar --create --format=v7 --file=v7.tar words
      tar --create --format=posix --file=pax.tar words
      for t in plain v7 pax; do
        gzip --keep $t.tar; zstd --quiet $t.tar; xz --keep $t.tar
        zstd --quiet --ultra --long=31 $t.tar -o $t-long.tar.zst
      done
      cp plain.tar no-suffix; cp plain.tar.gz wrong.iso; cp plain.tar.xz image`);
      for (const t of ["plain", "v7", "pax"]) {
        expect(await detect(`${t}.tar`)).toEqual({ kind: "rootfs", type: OCI });
        expect(await detect(`${t}.tar.gz`)).toEqual({ kind: "rootfs", type: `${OCI}+gzip` });
        expect(await detect(`${t}.tar.zst`)).toEqual({ kind: "rootfs", type: `${OCI}+zstd` });
        expect(await detect(`${t}-long.tar.zst`)).toEqual({ kind: "rootfs", type: `${OCI}+zstd` });
        expect(await detect(`${t}.tar.xz`)).toEqual({ kind: "rootfs", type: "application/x-xz" });
      }
      expect((await detect("no-suffix")).kind).toBe("rootfs");
      expect(await detect("wrong.iso")).toEqual({ kind: "rootfs", type: `${OCI}+gzip` });
      expect((await detect("image")).kind).toBe("rootfs");
      // Without xz the name decides what an xz file holds.
      expect((await detect("plain.tar.xz", null)).kind).toBe("rootfs");
      expect((await detect("image", null)).kind).toBe("file");
    },
    TOOLS_TIMEOUT,
  );

  test(
    "disk images",
    async () => {
      await sh(`
      for disk in gpt gpt4k mbr fat blank; do truncate --size=8M $disk.img; done
      sgdisk --new=1:0:0 gpt.img
      echo 'start=2048, type=83' | sfdisk --quiet mbr.img
      mkfs.vfat fat.img
      qemu-img create -q -f qcow2 disk.qcow2 10M
      gzip --keep gpt.img; zstd --quiet mbr.img; xz --keep gpt.img`);
      // A disk with sectors of 4096 bytes has its header in the second of them.
      const header = await Bun.file(join(work, "gpt.img")).slice(512, 1024).bytes();
      await Bun.write(join(work, "gpt4k.img"), Buffer.concat([new Uint8Array(4096), header]));
      const raw = { kind: "disk", type: "application/vnd.efi.img" } as const;
      for (const name of ["gpt.img", "gpt4k.img", "mbr.img"]) {
        expect(await detect(name)).toEqual(raw);
      }
      expect(await detect("disk.qcow2")).toEqual({ kind: "disk", type: "application/x-qemu-disk" });
      expect(await detect("gpt.img.gz")).toEqual({ kind: "disk", type: "application/gzip" });
      expect(await detect("mbr.img.zst")).toEqual({ kind: "disk", type: "application/zstd" });
      expect(await detect("gpt.img.xz")).toEqual({ kind: "disk", type: "application/x-xz" });
      expect((await detect("gpt.img.xz", null)).kind).toBe("disk");
      // Its first sector ends as that of a disk does.
      const last = await Bun.file(join(work, "fat.img")).slice(510, 512).bytes();
      expect([...last]).toEqual([0x55, 0xaa]);
      for (const name of ["fat.img", "blank.img"]) expect((await detect(name)).kind).toBe("file");
    },
    TOOLS_TIMEOUT,
  );

  test(
    "ISO images, hybrid ones as well",
    async () => {
      await sh(`
      mkdir tree; echo hello > tree/hello
      xorriso -as mkisofs -quiet -o plain.iso tree
      truncate --size=2M esp.fat; mkfs.vfat esp.fat
      xorriso -as mkisofs -quiet -o hybrid.iso -append_partition 2 0xef esp.fat tree
      xorriso -as mkisofs -quiet -o gpt.iso -appended_part_as_gpt -append_partition 2 0xef esp.fat tree`);
      const hybrid = await Bun.file(join(work, "hybrid.iso")).slice(510, 512).bytes();
      expect([...hybrid]).toEqual([0x55, 0xaa]);
      for (const name of ["plain.iso", "hybrid.iso", "gpt.iso"]) {
        expect(await detect(name)).toEqual({ kind: "iso", type: "application/vnd.efi.iso" });
      }
    },
    TOOLS_TIMEOUT,
  );

  test(
    "Windows images, and anything else",
    async () => {
      // WIM header: magic, then its own size and version.
      const wim = (magic: string) =>
        `${magic}\0\0\0\u00d0\0\0\0\0\u000d\u0001\0${"\0".repeat(200)}`;
      await Bun.write(join(work, "install.wim"), Buffer.from(wim("MSWIM"), "latin1"));
      await Bun.write(join(work, "pipe.wim"), Buffer.from(wim("WLPWM"), "latin1"));
      await sh(
        "gzip --keep words; : > empty; gzip --keep empty; tar --create --file=none.tar --files-from=empty",
      );
      for (const name of ["install.wim", "pipe.wim"]) {
        expect(await detect(name)).toEqual({ kind: "wim", type: "application/x-ms-wim" });
      }
      for (const name of ["words", "noise", "empty", "none.tar"]) {
        expect(await detect(name)).toEqual({ kind: "file", type: "application/octet-stream" });
      }
      for (const name of ["words.gz", "empty.gz"]) {
        expect(await detect(name)).toEqual({ kind: "file", type: "application/gzip" });
      }
      // Nothing comes out of a head that is cut off too early: the name is all there is.
      await sh("zstd --quiet words -o words.tar.zst");
      await truncate(join(work, "words.tar.zst"), 7);
      expect(await detect("words.tar.zst")).toMatchObject({ kind: "rootfs" });
    },
    TOOLS_TIMEOUT,
  );
});

test("any bytes are something, and never an error", async () => {
  const heads = fc.oneof(
    fc.uint8Array({ maxLength: 1024 }),
    // Those that begin like something.
    fc
      .tuple(
        fc.constantFrom("\u001f\u008b\u0008", "\u0028\u00b5\u002f\u00fd", "MSWIM", "QFI\u00fb"),
        fc.uint8Array({ maxLength: 600 }),
      )
      .map(([magic, rest]) => new Uint8Array(Buffer.concat([Buffer.from(magic, "latin1"), rest]))),
  );
  await fc.assert(
    fc.asyncProperty(heads, fc.string(), async (head, name) => {
      const { format, compression } = await detectContent(new Uint8Array(head), name);
      expect(layerMediaType(format, compression)).toMatch(/^application\/[\w.+-]+$/);
      expect(Object.keys(ARTIFACT_KINDS)).toContain(KIND_OF_FORMAT[format]);
    }),
    { numRuns: 300 },
  );
});

test("any one changed bit in a tar's first header, and it is none", async () => {
  await sh("tar --create --file=bits.tar words");
  const head = await Bun.file(join(work, "bits.tar")).slice(0, 512).bytes();
  for (let bit = 0; bit < 512 * 8; bit++) {
    const byte = bit >> 3;
    // In the field of the sum itself, blanks and noughts may stand for each other (bytes 148 to 155).
    if (byte >= 148 && byte < 156) continue;
    const changed = new Uint8Array(head);
    changed[byte] = (changed[byte] ?? 0) ^ (1 << (bit & 7));
    const { format } = await detectContent(changed, "bits.tar");
    expect({ byte, format }).toEqual({ byte, format: "other" });
  }
});
