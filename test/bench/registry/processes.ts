// SPDX-License-Identifier: AGPL-3.0-or-later
/** Programs that the bench runs, and what the kernel knows of processes. */

/** USER_HZ: what /proc counts CPU time in on every Linux that prov runs on. */
const TICKS_PER_SECOND = 100;

export interface Run {
  readonly out: string;
  /** Wall clock. */
  readonly seconds: number;
  /** User and system. */
  readonly cpuSeconds: number;
}

/** @throws when it fails; the message has what it said on stderr. */
export async function run(argv: readonly string[]): Promise<Run> {
  const start = performance.now();
  const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${argv[0]} exited with ${code}: ${err}`);
  const seconds = (performance.now() - start) / 1000;
  return { out, seconds, cpuSeconds: Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6 };
}

/** User and system time of a process until now: fields 14 and 15 of proc_pid_stat(5). */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await Bun.file(`/proc/${pid}/stat`).text();
  // The second field is the program's name, which may have spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Makes the peak of `peakRss` begin at what the process takes now: proc_pid_clear_refs(5). */
export async function forgetPeakRss(pid: number): Promise<void> {
  await Bun.write(`/proc/${pid}/clear_refs`, "5");
}

/** What a process has in memory that is no page of a file, such as its own binary; in bytes. */
export async function anonymousRss(pid: number): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
