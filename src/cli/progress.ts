// SPDX-License-Identifier: AGPL-3.0-or-later
import { formatBytes, formatDuration } from "../base/units.ts";
import type { Cli } from "./command.ts";
import { progressBar } from "./table.ts";

/** Often enough to look alive, seldom enough to cost nothing. */
const REDRAW_EVERY_MS = 100;
/** The speed is that of so long ago until now. */
const WINDOW_MS = 5000;
const BAR_WIDTH = 30;

interface Sample {
  readonly time: number;
  readonly done: number;
}

export type ShowProgress = (what: string, done: number, total: number) => void;

/** A line on the terminal that says how far something is, how fast, and how long it will take. */
export function createProgress(cli: Cli): ShowProgress {
  const { terminal, now } = cli;
  let current = "";
  let samples: Sample[] = [];
  let drawnAt = 0;
  return (what, done, total) => {
    if (!terminal.isInteractive) return;
    const time = now();
    const last = samples.at(-1);
    // A resume may go back: the speed until then says nothing about what follows.
    if (what !== current || (last !== undefined && done < last.done)) {
      current = what;
      samples = [];
      drawnAt = 0;
    }
    if (time - drawnAt < REDRAW_EVERY_MS && done < total) return;
    drawnAt = time;
    samples.push({ time, done });
    samples = samples.filter((sample) => time - sample.time <= WINDOW_MS);
    terminal.redraw(renderProgress({ what, done, total, samples }, terminal.columns));
  };
}

interface State {
  readonly what: string;
  /** Bytes. */
  readonly done: number;
  readonly total: number;
  /** The oldest first. */
  readonly samples: readonly Sample[];
}

/** `sending  [###-------]  30%  3.3 GiB of 11 GiB  110 MiB/s  1 min 10 s left`, in one line. */
export function renderProgress({ what, done, total, samples }: State, columns: number): string {
  const parts = [`${formatBytes(done)} of ${formatBytes(total)}`];
  const speed = speedOf(samples);
  if (speed > 0) {
    parts.push(`${formatBytes(Math.round(speed))}/s`);
    if (done < total) parts.push(`${formatDuration(((total - done) / speed) * 1000)} left`);
  }
  const text = parts.join("  ");
  // The bar gives way to what it cannot say.
  const room = columns - 1 - [what, progressBar(done, total, 0), text].join("  ").length;
  const bar = progressBar(done, total, Math.min(BAR_WIDTH, Math.max(0, room)));
  return [what, bar, text].join("  ").slice(0, columns - 1);
}

/** Bytes per second; 0 while it is not known. */
function speedOf(samples: readonly Sample[]): number {
  const [first] = samples;
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.time === first.time) return 0;
  return ((last.done - first.done) / (last.time - first.time)) * 1000;
}
