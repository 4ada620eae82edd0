// SPDX-License-Identifier: AGPL-3.0-or-later

declare const unit: unique symbol;
type Branded<Name extends string> = number & { readonly [unit]: Name };

/** A length of time in milliseconds. Points in time are plain numbers: Unix epoch, ms. */
export type Millis = Branded<"ms">;
/** A number of bytes. */
export type Bytes = Branded<"byte">;

export const millis = (n: number): Millis => n as Millis;
export const seconds = (n: number): Millis => (n * 1000) as Millis;
export const minutes = (n: number): Millis => seconds(n * 60);
export const bytes = (n: number): Bytes => n as Bytes;
export const mib = (n: number): Bytes => (n * 1_048_576) as Bytes;

const BINARY_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** For people: `512 MiB`, `1.5 GiB`. */
export function formatBytes(n: number): string {
  let value = n;
  let i = 0;
  while (value >= 1024 && i < BINARY_UNITS.length - 1) {
    value /= 1024;
    i++;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${BINARY_UNITS[i]}`;
}

/** For people: `850 ms`, `12 s`, `2 min 5 s`, `1 h 3 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return s % 60 === 0 ? `${m} min` : `${m} min ${s % 60} s`;
  return m % 60 === 0 ? `${Math.floor(m / 60)} h` : `${Math.floor(m / 60)} h ${m % 60} min`;
}
