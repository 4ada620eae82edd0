// SPDX-License-Identifier: AGPL-3.0-or-later
/** What the benches in test/bench share. Each prints rows of a Markdown table: metric, value, target, met. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";

export interface Row {
  readonly metric: string;
  readonly value: string;
  readonly target: string;
  readonly met: boolean;
}

export const renderRows = (rows: readonly Row[]): string =>
  rows
    .map(
      ({ metric, value, target, met }) =>
        `| ${metric} | ${value} | ${target} | ${met ? "yes" : "NO"} |`,
    )
    .join("\n");

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** The most memory that a process has had at once, in bytes: `VmHWM` of proc_pid_status(5). */
export async function peakRss(pid: number): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** A directory beside the sources, because a temporary one is often in memory. Gone at the end of the scope. */
export async function benchDirectory(): Promise<{ path: string } & AsyncDisposable> {
  const cache = join(import.meta.dir, "../../.cache");
  await mkdir(cache, { recursive: true });
  const path = await mkdtemp(join(cache, "bench-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The binary under test; build.ts makes it before it runs a bench. */
export const BINARY = process.env.PROV_BINARY ?? join(import.meta.dir, "../../dist/prov");

export interface ServedBinary extends AsyncDisposable {
  readonly url: string;
  /** Undefined unless a flag asks for HTTPS. */
  readonly tlsUrl: string | undefined;
  /** From its start to its first answer to /readyz, in ms. */
  readonly readyMs: number;
  readonly pid: number;
  /** PROV_URL, PROV_USER and PROV_PASSWORD of its first administrator; no password at a later start. */
  readonly env: Readonly<Record<string, string>>;
}

/** Starts `prov serve` on free ports and waits until it is ready. */
export async function serveBinary(
  storageRoot: string,
  more: readonly string[] = [],
): Promise<ServedBinary> {
  const started = performance.now();
  const flags = ["--http-addr=127.0.0.1:0", "--media-addr=127.0.0.1:0", "--registry-allow-anon"];
  const child = Bun.spawn([BINARY, "serve", ...flags, ...more, `--storage-root=${storageRoot}`], {
    stdout: "pipe",
    stderr: "ignore",
  });
  let text = "";
  for await (const chunk of child.stdout) {
    text += new TextDecoder().decode(chunk);
    if (/listens on .+\n/.test(text)) break;
  }
  const url = /listens on .*?(http:[^\s,]+)/.exec(text)?.[1];
  if (url === undefined) throw new Error(`prov serve did not start: ${text}`);
  while (!(await fetch(`${url}/readyz`)).ok) await Bun.sleep(1);
  return {
    url,
    tlsUrl: /(https:[^\s,]+)/.exec(text)?.[1],
    readyMs: performance.now() - started,
    pid: child.pid,
    env: {
      PROV_URL: url,
      PROV_USER: "admin",
      PROV_PASSWORD: /password: (\S+)/.exec(text)?.[1] ?? "",
    },
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await child.exited;
    },
  };
}
