// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The encodings that ISO 9660 builds its records of: ECMA-119 clauses 7 and 8.4.26.
 */
import { ProvError } from "../base/errors.ts";

/** Bytes of a logical sector; prov writes logical blocks of the same size. */
export const SECTOR = 2048;

export const sectorsOf = (length: number): number => Math.ceil(length / SECTOR);

/** 16 bits in both byte orders, little endian first (ECMA-119 7.2.3). */
export function setBoth16(view: DataView, offset: number, value: number): void {
  view.setUint16(offset, value, true);
  view.setUint16(offset + 2, value, false);
}

/** 32 bits in both byte orders, little endian first (ECMA-119 7.3.3). */
export function setBoth32(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value, true);
  view.setUint32(offset + 4, value, false);
}

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** One byte for each character; the caller has made sure that they are ASCII. */
export const ascii = (text: string): Uint8Array =>
  Uint8Array.from(text, (character) => character.charCodeAt(0));

/** UCS-2 in big-endian order, as Joliet writes names and volume ids. */
export function ucs2(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 2);
  const view = viewOf(bytes);
  for (let i = 0; i < text.length; i++) view.setUint16(i * 2, text.charCodeAt(i));
  return bytes;
}

/** Years 1970 to 2155: what the one-byte year of a directory record can hold and `epoch` can say. */
const LAST_EPOCH = Date.UTC(2156, 0, 1) / 1000 - 1;

/** @throws {ProvError} MEDIA_INVALID when `epoch` is not a whole second of the years 1970 to 2155. */
export function checkEpoch(epoch: number): void {
  if (Number.isInteger(epoch) && epoch >= 0 && epoch <= LAST_EPOCH) return;
  throw new ProvError(`Cannot write an ISO image dated ${epoch}: not a second of 1970 to 2155`, {
    code: "MEDIA_INVALID",
  });
}

/** Seven bytes, UTC: the date of directory records and Rock Ridge TF (ECMA-119 9.1.5). */
export function shortDate(epoch: number): Uint8Array {
  const date = new Date(epoch * 1000);
  return Uint8Array.of(
    date.getUTCFullYear() - 1900,
    date.getUTCMonth() + 1,
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds(),
    0,
  );
}

/** Seventeen bytes, UTC: the date of volume descriptors (ECMA-119 8.4.26.1). */
export function longDate(epoch: number): Uint8Array {
  const digits = new Date(epoch * 1000).toISOString().replaceAll(/[^0-9]/g, "");
  const bytes = new Uint8Array(17);
  // toISOString() ends in milliseconds; the format wants hundredths.
  bytes.set(ascii(digits.slice(0, 16)));
  return bytes;
}

/** "Not specified" in the format of {@link longDate}: sixteen digits zero and the byte 0. */
export const NO_DATE: Uint8Array = Uint8Array.of(...ascii("0".repeat(16)), 0);
