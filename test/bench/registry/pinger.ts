// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * How long small requests take while something big goes on. A process of its own, so that what else the
 * bench does is not measured.
 *
 *     bun pinger.ts URL     pings until its stdin ends, then prints the 99th percentile in ms
 */
const INTERVAL_MS = 20;

/** @returns what `task` resolves to, and the 99th percentile while it ran, in ms. */
export async function pingDuring<T>(
  url: string,
  task: () => Promise<T>,
): Promise<{ result: T; p99: number }> {
  const child = Bun.spawn([process.execPath, import.meta.path, url], {
    stdin: "pipe",
    stdout: "pipe",
  });
  try {
    const result = await task();
    await child.stdin.end();
    return { result, p99: Number(await child.stdout.text()) };
  } finally {
    child.kill();
  }
}

async function ping(url: string): Promise<void> {
  const times: number[] = [];
  const open = new Set<Promise<void>>();
  async function once(): Promise<void> {
    const start = performance.now();
    const response = await fetch(url).catch(() => undefined);
    await response?.arrayBuffer();
    times.push(response?.ok ? performance.now() - start : Number.POSITIVE_INFINITY);
  }
  // Not one after the other: a server that stands still must not be asked less often.
  const timer = setInterval(() => {
    const one = once().finally(() => open.delete(one));
    open.add(one);
  }, INTERVAL_MS);
  await Bun.stdin.text();
  clearInterval(timer);
  await Promise.all(open);
  const sorted = times.toSorted((a, b) => a - b);
  console.log(sorted[Math.ceil(sorted.length * 0.99) - 1]);
}

if (import.meta.main) await ping(process.argv[2] ?? "");
