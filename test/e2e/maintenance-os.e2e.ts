// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The maintenance OS by itself: its units before the judges of its own base, and a boot under Secure Boot
 * firmware with a stand-in for prov, to see what systemd makes of the graph.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { buildMaintenanceIso } from "../../maintenance-os/build.ts";
import { debianBase } from "../../maintenance-os/debian-base.ts";
import { arrayAt, isObject, type JsonObject, stringAt } from "../../src/base/json.ts";

const CACHE = process.env.PROV_CACHE ?? join(homedir(), ".cache/prov");
const MAINTENANCE_OS = join(import.meta.dir, "../../maintenance-os");
const OVMF = "/usr/share/OVMF";
const BUILD_MS = 600_000;
const BOOT_MS = 240_000;

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "maintenance-os-"));
});
afterAll(async () => {
  await rm(work, { recursive: true });
});

test(
  "R33: systemd-analyze and the Quadlet generator of the base accept every unit",
  async () => {
    const workshop = { cache: join(CACHE, "maintenance-os"), log: () => {}, epoch: 1_700_000_000 };
    const base = await debianBase(workshop);
    const output = await run([
      ...["unshare", "--mount", "--propagation=private"],
      ...[join(MAINTENANCE_OS, "scripts/check-units.sh"), base.path],
    ]);
    for (const step of ["partition", "image-linux", "bootloader-linux", "config-drive"]) {
      expect(output).toContain(`---${step}.service---`);
      expect(output).toMatch(new RegExp(`podman run --name ${step} .*--pull never --network host`));
    }
    expect(output).not.toMatch(/unsupported|warning/i);
  },
  BUILD_MS,
);

test(
  "R29, R31, R35: under Secure Boot the steps run in order, one that fails is the only cause, nothing listens",
  async () => {
    const stub = join(work, "stub");
    await run([
      ...[process.execPath, "build", "--compile", join(import.meta.dir, "maintenance-os-stub.ts")],
      `--outfile=${stub}`,
    ]);
    const iso = join(work, "maintenance.iso");
    await buildMaintenanceIso({ provBinary: stub, out: iso, cache: CACHE, log: () => {} });
    await Bun.write(join(work, "task/recipe.json"), JSON.stringify("bootloader-linux"));
    const task = join(work, "task.iso");
    await run([
      "xorrisofs",
      "-quiet",
      "-rational-rock",
      "-volid",
      "TASK_0123",
      "-output",
      task,
      join(work, "task"),
    ]);

    // The failed unit and the two that waited for it; systemd calls all three at once.
    const said = await bootUntil(iso, task, (lines) => ends(lines, "report") === 3);

    expect(saidOf(said, "dispatch", "boot-device")).toBe("/dev/sr0");
    expect(saidOf(said, "dispatch", "task.img")).toBe(true);
    expect(saidOf(said, "dispatch", "lockdown")).toBe("none [integrity] confidentiality");
    const steps = said.filter((line) => line.command === "step" && line.what === "in-container");
    expect(steps.map((line) => arrayAt(line, "rest")[0])).toEqual([
      "partition",
      "image-linux",
      "bootloader-linux",
    ]);
    expect(steps.every((line) => line.value === true)).toBe(true);
    expect(saidOf(said, "step", "efi-variables", "bootloader-linux")).toBe(true);

    const results = said.filter((line) => line.what === "service-result");
    const byUnit = results.map((line) => [arrayAt(line, "rest").join(" "), line.value] as const);
    expect(Object.fromEntries(byUnit)).toEqual({
      "failure bootloader-linux.service": "exit-code",
      "failure config-drive.service": "success",
      "failure install-linux-report.service": "success",
    });
    expect(saidOf(said, "report", "tcp")).toEqual([]);
    // The DHCP client's port 68, on the address that it was given.
    const udp = said
      .filter((line) => line.what === "udp")
      .flatMap((line) => arrayAt(line, "value"));
    expect(udp.filter((local) => !String(local).endsWith(":0044"))).toEqual([]);
  },
  BUILD_MS + BOOT_MS,
);

/** What the stub said; see maintenance-os-stub.ts. */
type Said = readonly JsonObject[];

function ends(said: Said, command: string): number {
  return said.filter((line) => line.command === command && line.what === "end").length;
}

function saidOf(said: Said, command: string, what: string, argument?: string): unknown {
  return said.find(
    (line) =>
      line.command === command &&
      line.what === what &&
      (argument === undefined || arrayAt(line, "rest")[0] === argument),
  )?.value;
}

/** Boots a machine with Secure Boot from `iso` and reads its serial console until `done`, or its end. */
async function bootUntil(iso: string, task: string, done: (said: Said) => boolean): Promise<Said> {
  const variables = join(work, "OVMF_VARS.fd");
  await Bun.write(variables, Bun.file(`${OVMF}/OVMF_VARS_4M.ms.fd`));
  const machine = Bun.spawn(
    [
      "qemu-system-x86_64",
      ...["-machine", "q35,smm=on", "-accel", "tcg,thread=multi,tb-size=1024"],
      ...["-cpu", "max", "-smp", "2", "-m", "2048", "-nodefaults", "-display", "none"],
      ...["-serial", "stdio", "-monitor", "none"],
      ...["-global", "driver=cfi.pflash01,property=secure,value=on"],
      ...["-drive", `if=pflash,format=raw,unit=0,readonly=on,file=${OVMF}/OVMF_CODE_4M.ms.fd`],
      ...["-drive", `if=pflash,format=raw,unit=1,file=${variables}`],
      ...["-drive", `if=none,id=boot,media=cdrom,readonly=on,format=raw,file=${iso}`],
      ...["-device", "ide-cd,drive=boot,bus=ide.0,bootindex=1"],
      ...["-drive", `if=none,id=task,media=cdrom,readonly=on,format=raw,file=${task}`],
      ...["-device", "ide-cd,drive=task,bus=ide.1"],
      ...["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="],
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  const deadline = setTimeout(() => machine.kill("SIGKILL"), BOOT_MS);
  let console = "";
  try {
    const decoder = new TextDecoder();
    for await (const chunk of machine.stdout) {
      console += decoder.decode(chunk, { stream: true });
      const said = parseConsole(console);
      if (done(said)) return said;
    }
  } finally {
    clearTimeout(deadline);
    machine.kill("SIGKILL");
    await machine.exited;
  }
  throw new Error(
    `The machine did not get that far. Its console ends with:\n${console.slice(-3000)}`,
  );
}

function parseConsole(text: string): Said {
  return text.split(/\r?\n/).flatMap((line) => {
    const json = /STUB (\{.*\})$/.exec(line)?.[1];
    const value: unknown = json === undefined ? undefined : JSON.parse(json);
    return isObject(value) && stringAt(value, "command") !== undefined ? [value] : [];
  });
}

/** @returns everything that the program printed. @throws {Error} with it when the program fails. */
async function run(argv: readonly string[]): Promise<string> {
  const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const output = (await Promise.all([child.stdout.text(), child.stderr.text()])).join("");
  if ((await child.exited) !== 0) throw new Error(`${argv[0]} failed: ${output.slice(-4000)}`);
  return output;
}
