// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * R59: a document's commands, run as they stand there in a shell, and what they print compared with what the
 * document shows.
 */
import { expect } from "bun:test";
import { mkdir, mkdtemp, open, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Block } from "../docs/readme.ts";
import { orasPath } from "../helpers/clients.ts";
import { BINARY, ISO } from "./site.ts";
import { eventually, eventuallyInFile, freePort } from "./world.ts";

/** A newcomer's shell: a folder, and the variables and functions that were defined in it. */
export class Shell implements AsyncDisposable {
  readonly folder: string;
  /** By the ports that documents name. */
  readonly #ports = new Map([8080, 8090, 8091].map((port) => [port, freePort()]));
  readonly #running = new Map<string, Bun.Subprocess>();
  /** Of the admin of the controller that was started last, and where that listens. */
  password = "";
  url = "";

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<Shell> {
    const shell = new Shell(await mkdtemp(join(tmpdir(), "prov-readme-")));
    await mkdir(join(shell.folder, "dist"));
    await mkdir(join(shell.folder, "bin"));
    await symlink(BINARY, join(shell.folder, "dist/prov"));
    await symlink(ISO, join(shell.folder, "dist/maintenance.iso"));
    await symlink(await orasPath(), join(shell.folder, "bin/oras"));
    const image = join(shell.folder, ".cache/prov/debian-trixie-root-0.tar.zst");
    await Bun.write(image, "an image that nobody unpacks");
    return shell;
  }

  get #env() {
    const { folder } = this;
    return { ...process.env, HOME: folder, PATH: `${folder}/bin:${process.env.PATH ?? ""}` };
  }

  #here(text: string): string {
    return text.replaceAll(/(?<=127\.0\.0\.1:)\d+/g, (port) =>
      String(this.#ports.get(Number(port)) ?? port),
    );
  }

  /** Runs a block to its end, after what earlier ones have left. */
  async run(block: Block): Promise<{ output: string; code: number }> {
    const state = join(this.folder, ".state");
    const script = `[ -e ${state} ] && . ${state} 2>/dev/null
trap 'code=$?; { declare -p; declare -f; } > ${state}; exit $code' EXIT
${this.#here(block.text)}`;
    const child = Bun.spawn(["bash", "-c", `exec 2>&1\n${script}`], {
      cwd: this.folder,
      env: this.#env,
      stdin: new Blob([`${this.password}\n`]),
      stdout: "pipe",
    });
    return { output: await child.stdout.text(), code: await child.exited };
  }

  /**
   * Starts a block that is a program without an end of its own; its output goes into a file. One that was
   * started for the same directory is stopped first.
   */
  async start(name: "serve" | "lab", block: Block): Promise<string> {
    const [, directory = name] = /--storage-root=(\S+)/.exec(block.text) ?? [];
    await this.stop(directory);
    const path = join(this.folder, `${directory}.out`);
    const address = /--http-addr=/.test(block.text) ? "" : " --http-addr=127.0.0.1:8080";
    const media = /--media-addr=/.test(block.text) ? "" : " --media-addr=127.0.0.1:0";
    const flags = name === "serve" ? `${address}${media}` : "";
    const output = await open(path, "w");
    const child = Bun.spawn(["bash", "-c", `exec ${this.#here(block.text.trim() + flags)}`], {
      cwd: this.folder,
      env: this.#env,
      stdin: "ignore",
      stdout: output.fd,
      stderr: "ignore",
    });
    await output.close();
    this.#running.set(directory, child);
    return path;
  }

  async stop(name: string): Promise<void> {
    const child = this.#running.get(name);
    this.#running.delete(name);
    child?.kill("SIGTERM");
    await child?.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const directory of this.#running.keys()) await this.stop(directory);
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** What differs from run to run, by what takes its place. */
const VARYING: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, "UUID"],
  [/\b[0-9a-f]{64}\b/g, "SHA256"],
  [/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{3}Z)?/g, "TIME"],
  [/^\d\d:\d\d:\d\d /gm, "CLOCK "],
  [/127\.0\.0\.1:\d+/g, "127.0.0.1:PORT"],
  [/(?<=password: )\S+/g, "PASSWORD"],
  [/(?<=worker )[0-9a-f]{8}-\d+/g, "ID"],
  [/(?<=failed after )\d+ m?s\b/g, "DURATION"],
];

const plain = (text: string): string =>
  VARYING.reduce((result, [pattern, name]) => result.replaceAll(pattern, name), text).trim();

/** `…` stands for anything, alone on a line for any lines. */
function expectShown(output: string, shown: string): void {
  const pattern = plain(shown)
    .split("…")
    .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&"))
    .join("[^]*?");
  if (new RegExp(`^${pattern}$`).test(plain(output))) return;
  // Fails with a difference that can be read.
  expect(plain(output)).toBe(plain(shown));
}

/**
 * Runs the shell blocks in order; a `text` block behind one is what it prints.
 * @returns how many there were.
 */
export async function follow(blocks: readonly Block[], shell: Shell): Promise<number> {
  let count = 0;
  for (const [i, block] of blocks.entries()) {
    if (block.language !== "sh") continue;
    const next = blocks[i + 1];
    const shown = next?.language === "text" ? next.text : undefined;
    const [, name] = /^dist\/prov (serve|lab) /.exec(block.text) ?? [];
    if (name === "serve" || name === "lab") await startAndExpect(name, block, shown, shell);
    else {
      const { output, code } = await shell.run(block);
      if (shown !== undefined) expectShown(output, shown);
      else expect({ output: plain(output), code }).toEqual({ output: "", code: 0 });
    }
    count++;
  }
  return count;
}

async function startAndExpect(
  name: "serve" | "lab",
  block: Block,
  shown: string | undefined,
  shell: Shell,
): Promise<void> {
  const path = await shell.start(name, block);
  const lastLine = name === "serve" ? /listens on/ : /Stop with Ctrl-C/;
  await eventuallyInFile(path, lastLine, 60_000);
  const output = await readFile(path, "utf8");
  if (shown !== undefined) expectShown(output, shown);
  const [, password] = /password: (\S+)/.exec(output) ?? [];
  if (password !== undefined) shell.password = password;
  const [, url] = /listens on (http:\S+?)(?:,|$)/m.exec(output) ?? [];
  if (url === undefined) return;
  shell.url = url;
  await eventually("the controller is ready", 30_000, async () => {
    const answer = await fetch(`${url}/readyz`).catch(() => undefined);
    return answer?.ok === true ? true : undefined;
  });
}
