// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * SHA-256 (FIPS 180-4) and identifiers made from it, in plain arithmetic: planners are pure, and the same
 * plan must come out wherever it is made. For a few kilobytes; big data is hashed by the adapters.
 */

/** The first 32 bits of the fractional parts of a root of the first primes, as FIPS 180-4 defines its constants. */
function fractionBits(root: (n: number) => number, count: number): number[] {
  const bits: number[] = [];
  for (let n = 2; bits.length < count; n++) {
    let isPrime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) isPrime = false;
    if (isPrime) bits.push(((root(n) % 1) * 2 ** 32) | 0);
  }
  return bits;
}

const ROUND = fractionBits(Math.cbrt, 64);
const INITIAL = fractionBits(Math.sqrt, 8);

const rotate = (x: number, n: number): number => (x >>> n) | (x << (32 - n));

/** Lower-case hex of the SHA-256 of bytes, or of a text's UTF-8. */
export function sha256Hex(data: string | Uint8Array): string {
  const message = typeof data === "string" ? new TextEncoder().encode(data) : data;
  const padded = new Uint8Array(Math.ceil((message.length + 9) / 64) * 64);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, BigInt(message.length) * 8n);
  const state = Int32Array.from(INITIAL);
  for (let at = 0; at < padded.length; at += 64) compress(state, schedule(view, at));
  return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

function schedule(view: DataView, at: number): Int32Array {
  const w = new Int32Array(64);
  for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const a = w[i - 15] ?? 0;
    const b = w[i - 2] ?? 0;
    const s0 = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3);
    const s1 = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10);
    w[i] = (w[i - 16] ?? 0) + s0 + (w[i - 7] ?? 0) + s1;
  }
  return w;
}

function compress(state: Int32Array, w: Int32Array): void {
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
  for (let i = 0; i < 64; i++) {
    const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + (ROUND[i] ?? 0) + (w[i] ?? 0)) | 0;
    const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
  }
  for (const [i, word] of [a, b, c, d, e, f, g, h].entries()) state[i] = (state[i] ?? 0) + word;
}

/** A UUID that depends on nothing but `name`: version 8 of RFC 9562, with SHA-256. */
export function uuidFrom(name: string): string {
  const hex = sha256Hex(name);
  // The variant's two bits are 10: one of 8, 9, a, b.
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 3) | 8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
}
