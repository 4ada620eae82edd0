// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A virtual server boots a CD once and then its disk, on real firmware: `bun test ./test/e2e/lab-boot.e2e.ts`.
 * Needs qemu-system-x86, ovmf, grub-efi-amd64-bin, grub-common, mtools and xorriso; takes 20 s to a minute
 * for each machine without KVM.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFile, mkdir, mkdtemp, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realSleep, silentLog } from "../../src/base/deps.ts";
import { mib, millis, seconds } from "../../src/base/units.ts";
import { type LabServer, type LabServerSpec, startLab } from "../../src/lab/lab.ts";
import { openBmc } from "../../src/redfish/bmc.ts";

const SERIAL = "LAB-BOOT-1";
const signal = new AbortController().signal;
/** Read by the guest and hashed there. */
const PAYLOAD = new Uint8Array(mib(32)).map((_, i) => (i * 31 + (i >> 12)) % 251);

let directory = "";

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "prov-lab-boot-"));
  await makeMedia();
}, 60_000);
afterAll(() => rm(directory, { recursive: true }));

async function run(...argv: string[]): Promise<void> {
  const child = Bun.spawn(argv, { cwd: directory, stdout: "ignore", stderr: "pipe" });
  const complaint = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(`${argv.join(" ")}: ${complaint}`);
}

/** A FAT image whose GRUB does what the script says: an EFI system partition, or a whole disk. */
async function makeEsp(name: string, script: string): Promise<string> {
  const esp = join(directory, `${name}.esp`);
  await Bun.write(join(directory, `${name}.cfg`), script);
  await run(
    ...["grub-mkstandalone", "--format=x86_64-efi", `--output=${name}.efi`],
    ...[
      "--modules=echo sleep reboot halt hashsum search iso9660 fat",
      `boot/grub/grub.cfg=${name}.cfg`,
    ],
  );
  await Bun.write(esp, "");
  await truncate(esp, mib(24));
  await run("mformat", "-i", esp, "-v", "ESP", "::");
  await run("mmd", "-i", esp, "::/EFI", "::/EFI/BOOT");
  await run("mcopy", "-i", esp, `${name}.efi`, "::/EFI/BOOT/BOOTX64.EFI");
  return esp;
}

async function makeMedia(): Promise<void> {
  const read =
    "search --no-floppy --set=root --file /payload.bin\nhashsum --hash sha256 /payload.bin";
  const esp = await makeEsp("cd", `echo CD-BOOT\n${read}\necho CD-DONE\nreboot\n`);
  await makeEsp("disk", "echo DISK-BOOT\nsleep 1\nhalt\n");
  await Bun.write(join(directory, "tree", "payload.bin"), PAYLOAD);
  await run(
    ...["xorriso", "-as", "mkisofs", "-quiet", "-r", "-V", "BOOT", "-partition_offset", "16"],
    ...["-append_partition", "2", "0xef", esp, "-appended_part_as_gpt"],
    ...["-e", "--interval:appended_partition_2:all::", "-no-emul-boot", "-o", "boot.iso", "tree"],
  );
}

function serveMedia() {
  let gets = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      const file = Bun.file(join(directory, "boot.iso"));
      if (request.method === "HEAD") {
        return new Response(null, { headers: { "Content-Length": String(file.size) } });
      }
      gets++;
      const range = request.headers.get("range") ?? "";
      const [start, end] = range.replace("bytes=", "").split("-").map(Number);
      return new Response(file.slice(start, Number(end) + 1), { status: 206 });
    },
  });
  return { url: `http://127.0.0.1:${server.port}/m/tok/boot.iso`, gets: () => gets, server };
}

async function startServer(change: Partial<LabServerSpec>) {
  const own = await mkdtemp(join(directory, "server-"));
  await mkdir(own, { recursive: true });
  await copyFile(join(directory, "disk.esp"), join(own, "disk.raw"));
  const spec: LabServerSpec = {
    serial: SERIAL,
    personality: "two-slot",
    bmcPort: 0,
    directory: own,
    diskGiB: 1,
    diskBus: "virtio",
    memoryMiB: 512,
    cpus: 2,
    secureBoot: false,
    network: { mode: "user" },
    mac: "52:54:00:00:00:01",
    consoleLog: join(own, "console.log"),
    ...change,
  };
  const lab = await startLab([spec], { fetch, now: Date.now, sleep: realSleep, log: silentLog });
  const server = lab.servers[0];
  if (server === undefined) throw new Error("The lab has no server");
  return { lab, server };
}

function connect(server: LabServer) {
  const { username, password, bmcUrl: url, fingerprint } = server;
  const tls = { mode: "pinned", fingerprint: fingerprint ?? "" } as const;
  const deps = { fetch, now: Date.now, sleep: realSleep, log: silentLog, signal };
  return openBmc({ url, username, password, tls }, deps);
}

async function untilOff(server: LabServer): Promise<void> {
  const deadline = Date.now() + seconds(150);
  while (server.machine.power() === "On") {
    if (Date.now() > deadline) throw new Error(await readFile(server.consolePath, "latin1"));
    await realSleep(millis(200));
  }
}

const MACHINES = [
  { personality: "two-slot", diskBus: "virtio" },
  { personality: "one-slot", diskBus: "nvme" },
  { personality: "supermicro", diskBus: "sata" },
] as const satisfies readonly Partial<LabServerSpec>[];

describe("a one-time override boots the CD once, and the guest's reset boots the disk", () => {
  test.each(MACHINES)(
    "$personality, $diskBus",
    async (change) => {
      const media = serveMedia();
      const { lab, server } = await startServer(change);
      const bmc = connect(server);
      try {
        const { slots } = await bmc.probe(SERIAL);
        const [slot] = slots;
        if (slot === undefined) throw new Error("The probe found no slot");
        await bmc.insert(slot, media.url);
        await bmc.bootOnceFromCd();
        await bmc.powerOn();
        await untilOff(server);
        const console = await readFile(server.consolePath, "latin1");
        const marks = console.match(/CD-BOOT|CD-DONE|DISK-BOOT/g);
        expect(marks).toEqual(["CD-BOOT", "CD-DONE", "DISK-BOOT"]);
        expect(console).toContain(new Bun.CryptoHasher("sha256").update(PAYLOAD).digest("hex"));
        // The whole payload in units of 1 MiB, and no more than the boot loader beside it.
        expect(media.gets()).toBeLessThan(80);
        expect(await bmc.ejectAll()).toBe(1);
      } finally {
        await bmc.close();
        await lab.stop();
        await media.server.stop(true);
      }
    },
    200_000,
  );
});
