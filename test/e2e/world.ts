// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A controller and virtual servers as a user has them: the built binary, started as a process, spoken to by
 * its command line. What the demonstration and the end-to-end tests stand on.
 */
import { existsSync } from "node:fs";
import { mkdir, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { orasPath } from "../helpers/clients.ts";

export interface World {
  readonly binary: string;
  readonly iso: string;
  /** Scratch directory of this world. */
  readonly directory: string;
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
async function runProgram(
  argv: readonly string[],
  options: { env?: Record<string, string>; stdin?: string } = {},
): Promise<Finished> {
  const child = Bun.spawn([...argv], {
    stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...options.env },
  });
  const [stdout, stderr, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/** @throws {Error} with the program's output when it does not exit with 0. */
export async function expectProgram(
  argv: readonly string[],
  options: { env?: Record<string, string>; stdin?: string } = {},
): Promise<string> {
  const { code, stdout, stderr } = await runProgram(argv, options);
  if (code === 0) return stdout;
  throw new Error(`${argv.join(" ")} exited with ${code}:\n${stdout}${stderr}`);
}

/** Asks until there is an answer. @throws {Error} naming `what` when `timeoutMs` has passed. */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  ask: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const giveUpAt = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > giveUpAt) throw new Error(`${what}: not within ${timeoutMs / 1000} s`);
    await Bun.sleep(200);
  }
}

/** The first match in a file that is still being written. */
export function eventuallyInFile(
  path: string,
  pattern: RegExp,
  timeoutMs: number,
): Promise<RegExpExecArray> {
  return eventually(`${pattern} in ${path}`, timeoutMs, async () => {
    const text = await readFile(path, "utf8").catch(() => "");
    return pattern.exec(text) ?? undefined;
  });
}

interface Process {
  readonly pid: number;
  kill(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

async function startProcess(argv: readonly string[], log: string): Promise<Process> {
  const file = await open(log, "a");
  const child = Bun.spawn([...argv], { stdin: "ignore", stdout: file.fd, stderr: file.fd });
  return {
    pid: child.pid,
    async kill(signal) {
      child.kill(signal);
      await child.exited;
      await file.close();
    },
  };
}

export interface ControllerOptions {
  readonly port: number;
  /** Further flags of `prov serve`. */
  readonly flags?: readonly string[];
  /** Address of this host where BMCs read media; 127.0.0.1 when it is left out. */
  readonly mediaHost?: string;
  /** URLs under which BMCs and servers reach it. */
  readonly publicUrls: readonly string[];
}

/** `prov serve` as a process, and the command line as its admin. */
export class Controller {
  readonly #world: World;
  readonly #options: ControllerOptions;
  #process: Process | undefined;
  #password: string | undefined;

  constructor(world: World, options: ControllerOptions) {
    this.#world = world;
    this.#options = options;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#options.port}`;
  }

  get log(): string {
    return join(this.#world.directory, "controller.log");
  }

  get storage(): string {
    return join(this.#world.directory, "controller");
  }

  /** What a shell needs to use the command line as admin. */
  get env(): Record<string, string> {
    return {
      PROV_URL: this.url,
      PROV_USER: "admin",
      PROV_PASSWORD: this.#password ?? "",
    };
  }

  async start(): Promise<void> {
    const { binary, iso } = this.#world;
    const { port, publicUrls, flags = [] } = this.#options;
    await mkdir(this.storage, { recursive: true });
    this.#process = await startProcess(
      [
        binary,
        "serve",
        `--http-addr=127.0.0.1:${port}`,
        `--media-addr=${this.#options.mediaHost ?? "127.0.0.1"}:0`,
        `--storage-root=${this.storage}`,
        `--maintenance-iso=${iso}`,
        `--public-urls=${publicUrls.join(",")}`,
        ...flags,
      ],
      this.log,
    );
    await eventually("the controller is ready", 30_000, async () => {
      const response = await fetch(`${this.url}/readyz`).catch(() => undefined);
      return response?.ok === true ? true : undefined;
    });
    const printed = await eventuallyInFile(this.log, /admin\b.*password[^:]*: *(\S+)/i, 10_000);
    this.#password = printed[1] ?? "";
  }

  async stop(): Promise<void> {
    await this.#process?.kill("SIGTERM");
    this.#process = undefined;
  }

  /** As a power cut would: nothing is flushed and nobody is told. */
  async kill9(): Promise<void> {
    await this.#process?.kill("SIGKILL");
    this.#process = undefined;
  }

  /** `prov …` as admin. */
  prov(...args: readonly string[]): Promise<Finished> {
    return runProgram([this.#world.binary, ...args], { env: this.env });
  }

  /** The same with `--json`, parsed; the exit code of a failed job is not a failure to show it. */
  async provJson(...args: readonly string[]): Promise<unknown> {
    const { stdout, stderr } = await this.prov(...args, "--json");
    if (stdout === "") throw new Error(`prov ${args.join(" ")}: ${stderr}`);
    return JSON.parse(stdout);
  }
}

export interface LabServer {
  readonly serial: string;
  readonly bmc_url: string;
  readonly fingerprint: string;
  readonly username: string;
  readonly password: string;
  /** Of its one NIC. */
  readonly mac: string;
  /** Everything that the server's serial port ever printed. */
  readonly console: string;
}

/** `prov lab` as a process. */
export class Lab {
  readonly #process: Process;
  readonly servers: readonly LabServer[];

  private constructor(process: Process, servers: readonly LabServer[]) {
    this.#process = process;
    this.servers = servers;
  }

  /** @param flags as `prov lab` takes them; its directory is inside the world's. */
  static async start(world: World, flags: readonly string[]): Promise<Lab> {
    const directory = join(world.directory, "lab");
    const ready = join(directory, "lab.json");
    await mkdir(directory, { recursive: true });
    const process = await startProcess(
      [world.binary, "lab", `--directory=${directory}`, ...flags],
      join(world.directory, "lab.log"),
    );
    const servers = await eventually("the lab is up", 60_000, async () =>
      existsSync(ready)
        ? (JSON.parse(await readFile(ready, "utf8")).servers as LabServer[])
        : undefined,
    );
    return new Lab(process, servers);
  }

  /** @throws {Error} when the lab has no such server. */
  server(serial: string): LabServer {
    const found = this.servers.find((server) => server.serial === serial);
    if (found === undefined) throw new Error(`The lab has no server ${serial}`);
    return found;
  }

  async stop(): Promise<void> {
    await this.#process.kill("SIGTERM");
  }
}

/** Tells the controller about a virtual server, its certificate pinned. */
export async function addServer(
  controller: Controller,
  server: LabServer,
  flags: readonly string[] = [],
): Promise<void> {
  const passwordFile = `${server.console}.bmc-password`;
  await Bun.write(passwordFile, server.password);
  const { code, stderr } = await controller.prov(
    "server",
    "add",
    server.serial,
    `--bmc-url=${server.bmc_url}`,
    `--bmc-user=${server.username}`,
    `--bmc-password-file=${passwordFile}`,
    `--bmc-fingerprint=${server.fingerprint}`,
    ...flags,
  );
  if (code !== 0) throw new Error(`server add ${server.serial}: ${stderr}`);
}

/** Pushes a compressed root file system with a real `oras`. @returns what it printed. */
export async function pushWithOras(
  controller: Controller,
  tarball: string,
  reference: string,
): Promise<string> {
  return expectProgram(
    [
      await orasPath(),
      "push",
      "--plain-http",
      "--no-tty",
      "--disable-path-validation",
      "--username=admin",
      "--password-stdin",
      "--artifact-type=application/vnd.prov.rootfs.v1",
      `${controller.url.replace("http://", "")}/${reference}`,
      `${tarball}:application/vnd.oci.image.layer.v1.tar+zstd`,
    ],
    { stdin: controller.env.PROV_PASSWORD ?? "" },
  );
}

/** A port that nothing listens on now. */
export function freePort(): number {
  const server = Bun.serve({ port: 0, fetch: () => new Response() });
  const { port } = server;
  server.stop(true);
  return port ?? 0;
}
