// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Row } from "../../helpers/bench.ts";

/** What one run of the bench does. */
export interface Plan {
  /** Size of the big blob. The targets are for 11. */
  readonly gib: number;
  readonly rounds: number;
  /** Everything lies here, and is removed with it. */
  readonly directory: string;
  /** Tells people about each measurement that a row is made of. */
  note(line: string): void;
}

type Unit = "×" | "ms" | "MiB";

export const atMost = (metric: string, value: number, target: number, unit: Unit): Row => ({
  ...row(metric, value, unit),
  target: `≤ ${render(target, unit)}`,
  met: value <= target,
});

export const atLeast = (metric: string, value: number, target: number, unit: Unit): Row => ({
  ...row(metric, value, unit),
  target: `≥ ${render(target, unit)}`,
  met: value >= target,
});

const row = (metric: string, value: number, unit: Unit) => ({
  metric,
  value: render(value, unit),
});

const render = (value: number, unit: Unit): string =>
  unit === "×" ? `${value.toFixed(2)}×` : `${Number(value.toFixed(1))} ${unit}`;
