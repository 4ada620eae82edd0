// SPDX-License-Identifier: AGPL-3.0-or-later

/** The process as the commands see it: what comes in, where text goes, when to stop. */
export interface Terminal {
  /** Results, for people or programs: one line. */
  out(line: string): void;
  /** Everything else: progress, warnings, errors. */
  err(line: string): void;
  /** Replaces the last line of stderr; only called when `isInteractive`. */
  redraw(line: string): void;
  readonly isInteractive: boolean;
  readonly columns: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts when the process is asked to end (SIGINT, SIGTERM), or its results go nowhere. */
  readonly signal: AbortSignal;
  /** Aborts when the process is asked to end, and then only: a service goes on when nobody reads its greeting. */
  readonly asked: AbortSignal;
  readonly uid: number;
  stdin(): Promise<string>;
}

/** Resolves when the process is asked to end. */
export function untilStopped(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    signal.addEventListener("abort", () => done(), { once: true });
  });
}

const stopped = (why: string) => new DOMException(`Stopped by ${why}`, "AbortError");

export function processTerminal(): Terminal {
  const stop = new AbortController();
  const asked = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      asked.abort(stopped(name));
      stop.abort(stopped(name));
    });
  }
  process.stdout.on("error", (error) => {
    // Whoever reads has enough, as `head` has: no reason to complain.
    const isLeft = "code" in error && error.code === "EPIPE";
    if (!isLeft) {
      process.stderr.write(`prov: Cannot write to standard output: ${error.message}\n`);
      process.on("exit", () => {
        process.exitCode = 1;
      });
    }
    stop.abort(stopped("its output"));
  });
  let drawn = false;
  const clear = () => {
    if (drawn) process.stderr.write("\r\u001b[K");
    drawn = false;
  };
  process.on("exit", clear);
  return {
    out(line) {
      clear();
      process.stdout.write(`${line}\n`);
    },
    err(line) {
      clear();
      process.stderr.write(`${line}\n`);
    },
    redraw(line) {
      process.stderr.write(`\r\u001b[K${line}`);
      drawn = true;
    },
    isInteractive: process.stderr.isTTY === true,
    // A serial console may say 0.
    columns: process.stderr.columns || 80,
    env: process.env,
    signal: stop.signal,
    asked: asked.signal,
    uid: process.getuid?.() ?? 0,
    stdin: () => Bun.stdin.text(),
  };
}
