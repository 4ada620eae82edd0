// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The one task runner: `bun build.ts <task>`. It installs what a task needs, Debian packages included, and
 * imports nothing but what Bun has built in before the project's own packages are there.
 */
import { mkdir, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

const ROOT = import.meta.dir;
const BINARY = join(ROOT, "dist/prov");
const ISO = join(ROOT, "dist/maintenance.iso");
const CACHE = process.env.PROV_CACHE ?? join(homedir(), ".cache/prov");

/** Debian packages by what needs them. */
const ISO_PACKAGES = [
  "cpio",
  "debian-archive-keyring",
  "mmdebstrap",
  "mount",
  "mtools",
  "squashfs-tools",
  "xorriso",
  "xz-utils",
  "zstd",
];
const LAB_PACKAGES = ["iproute2", "openssl", "ovmf", "qemu-block-extra", "qemu-system-x86"];
const UNIT_TEST_PACKAGES = [
  "attr",
  "btrfs-progs",
  "dosfstools",
  "e2fsprogs",
  "fdisk",
  "gdisk",
  "genisoimage",
  "qemu-utils",
  "xfsprogs",
  "xorriso",
  "xz-utils",
  "zstd",
];
/** On top of all others: real clients of the registry, and loaders of small test media. */
const E2E_PACKAGES = ["curl", "docker-registry", "grub-common", "grub-efi-amd64-bin", "skopeo"];

/** On top of those: what benchmarks compare with, and what makes the load. */
const BENCH_PACKAGES = ["docker-registry", "nginx-light", "wrk"];

/** For one test: it is there to end one that hangs, and a busy machine is no reason to end any. */
const TIMEOUT = "--timeout=30000";

interface Task {
  readonly about: string;
  run(args: readonly string[]): Promise<void>;
}

const TASKS: Readonly<Record<string, Task>> = {
  check: { about: "format, lint, types, unused code and unit tests", run: check },
  test: { about: "check and everything else: real tools and virtual machines", run: test },
  binary: { about: "dist/prov [--target=bun-linux-arm64 …]", run: (args) => binary(args) },
  iso: { about: "dist/maintenance.iso", run: iso },
  demo: { about: "provision a virtual server before your eyes", run: demo },
  bench: { about: "the benchmarks, as ratios [NAME … --OPTION …]", run: bench },
  clean: { about: "remove what was built", run: clean },
};

async function check(): Promise<void> {
  await install([...UNIT_TEST_PACKAGES, ...LAB_PACKAGES]);
  await run(["node_modules/.bin/biome", "ci", "--error-on-warnings", "."]);
  await run(["node_modules/.bin/tsc"]);
  // With Bun, because it wants a newer Node than Debian 12 has.
  await run([process.execPath, "node_modules/knip/bin/knip-bun.js"]);
  await countTests(["test", TIMEOUT]);
}

async function test(): Promise<void> {
  await check();
  await binary([]);
  await iso();
  await install(E2E_PACKAGES);
  const files = await Array.fromAsync(new Bun.Glob("test/e2e/*.e2e.ts").scan({ cwd: ROOT }));
  for (const file of files.sort()) await countTests(["test", TIMEOUT, `./${file}`]);
}

async function binary(args: readonly string[]): Promise<void> {
  await install([]);
  await mkdir(join(ROOT, "dist"), { recursive: true });
  const target = args.find((arg) => arg.startsWith("--target="));
  const out = target === undefined ? BINARY : `${BINARY}-${target.replace("--target=bun-", "")}`;
  await run([
    process.execPath,
    "build",
    "src/main.ts",
    "--compile",
    ...(target === undefined ? [] : [target]),
    "--minify-syntax",
    "--minify-whitespace",
    "--bytecode",
    "--format=esm",
    // The binary must never run what lies in the directory that it was started in.
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    `--define=PROV_COMMIT="${await commit()}"`,
    `--outfile=${out}`,
  ]);
}

async function commit(): Promise<string> {
  const git = Bun.spawn(["git", "rev-parse", "--short=12", "HEAD"], {
    cwd: ROOT,
    stderr: "ignore",
  });
  return (await git.stdout.text()).trim() || "unknown";
}

async function iso(): Promise<void> {
  await install(ISO_PACKAGES);
  if (!(await Bun.file(BINARY).exists())) await binary([]);
  const { buildMaintenanceIso } = await import("./maintenance-os/build.ts");
  await buildMaintenanceIso({ provBinary: BINARY, out: ISO, cache: CACHE, log: console.log });
}

async function demo(): Promise<void> {
  await install([...ISO_PACKAGES, ...LAB_PACKAGES]);
  await binary([]);
  await iso();
  const { runDemo } = await import("./test/e2e/demo.ts");
  await runDemo({ binary: BINARY, iso: ISO, cache: CACHE });
}

async function bench(args: readonly string[]): Promise<void> {
  await install([...UNIT_TEST_PACKAGES, ...E2E_PACKAGES, ...BENCH_PACKAGES]);
  await binary([]);
  const options = args.filter((arg) => arg.startsWith("--"));
  const names = args.filter((arg) => !options.includes(arg));
  for (const name of names.length > 0 ? names : ["*"]) {
    // `registry` is registry.ts and registry-gc.ts, but not what lies in registry/.
    const files = new Bun.Glob(`test/bench/{${name},${name}-*}.ts`).scan({ cwd: ROOT });
    for (const file of new Set(await Array.fromAsync(files))) {
      await run([process.execPath, file, ...options]);
    }
  }
}

async function clean(): Promise<void> {
  await rm(join(ROOT, "dist"), { recursive: true, force: true });
}

/** Installs the project's own packages and the Debian packages that are not there yet. */
async function install(packages: readonly string[]): Promise<void> {
  await run([process.execPath, "install", "--frozen-lockfile"], { quiet: true });
  const missing: string[] = [];
  for (const name of new Set(packages)) {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder is dpkg-query's.
    const query = Bun.spawn(["dpkg-query", "--show", "--showformat=${db:Status-Status}", name], {
      stdout: "pipe",
      stderr: "ignore",
    });
    if ((await query.stdout.text()) !== "installed") missing.push(name);
  }
  if (missing.length === 0) return;
  console.log(`Installing Debian packages: ${missing.join(" ")}`);
  const apt = ["apt-get", "--quiet", "--quiet", "--yes", "--no-install-recommends"];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await run([...apt, "update"], { quiet: true, env });
  await run([...apt, "install", ...missing], { quiet: true, env });
}

/** Runs a program; with `quiet` its output is shown only when it fails. */
async function run(
  argv: readonly string[],
  options: { quiet?: boolean; env?: Record<string, string | undefined> } = {},
): Promise<void> {
  const child = Bun.spawn([...argv], {
    cwd: ROOT,
    stdin: "ignore",
    stdout: options.quiet === true ? "pipe" : "inherit",
    stderr: options.quiet === true ? "pipe" : "inherit",
    ...(options.env !== undefined && { env: options.env }),
  });
  const output = await Promise.all(
    [child.stdout, child.stderr].map((stream) => stream?.text() ?? ""),
  );
  if ((await child.exited) === 0) return;
  process.stderr.write(output.join(""));
  throw new Error(`${argv.join(" ")} exited with ${child.exitCode ?? child.signalCode}`);
}

const tally = { passed: 0, failed: 0 };

/** Runs `bun <args>`, shows its output and adds its counts to the tally; a failing test ends the task. */
async function countTests(args: readonly string[]): Promise<void> {
  const child = Bun.spawn([process.execPath, ...args], {
    cwd: ROOT,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "pipe",
    env: { ...process.env, PROV_BINARY: BINARY, PROV_ISO: ISO, PROV_CACHE: CACHE },
  });
  let output = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stderr) {
    process.stderr.write(chunk);
    output += decoder.decode(chunk, { stream: true });
  }
  tally.passed += Number(/^ *(\d+) pass$/m.exec(output)?.[1] ?? 0);
  const failed = Number(/^ *(\d+) fail$/m.exec(output)?.[1] ?? 0);
  const code = await child.exited;
  tally.failed += code === 0 ? failed : Math.max(failed, 1);
  if (code !== 0) throw new Error(`bun ${args.join(" ")} exited with ${code ?? child.signalCode}`);
}

const [name = "", ...args] = process.argv.slice(2);
const task = TASKS[name];
if (task === undefined) {
  const list = Object.entries(TASKS).map(([key, { about }]) => `  ${key.padEnd(8)} ${about}`);
  console.error(`Usage: bun build.ts <task>\n\n${list.join("\n")}`);
  process.exit(2);
}
const started = performance.now();
try {
  await task.run(args);
} catch (error) {
  console.error(`\n${name} failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
if (tally.passed + tally.failed > 0) {
  console.log(`${name} took ${Math.round((performance.now() - started) / 1000)} s`);
  if (process.exitCode === 1 && tally.failed === 0) tally.failed = 1;
  console.log(`${tally.passed} passed, ${tally.failed} failed`);
}
