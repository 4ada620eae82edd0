// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The three names of a file: the true one (Rock Ridge), and what the plain and the Joliet trees can
 * say of it. The same set of true names always gets the same other names.
 */
import { ProvError } from "../base/errors.ts";

export interface IsoNames {
  /** UTF-8, in the NM entry. */
  readonly name: string;
  /** Level 2 identifier with its version: `RECIPE_SCHEMA.JSON;1`. */
  readonly plain: string;
  /** Joliet identifier with its version, in UCS-2 characters. */
  readonly joliet: string;
}

/** Bytes of UTF-8: what one NM entry holds, and below the 254 that Linux shows of a name. */
const MAX_NAME_BYTES = 250;
/** ECMA-119 10.2: name and extension together, dot and version not counted. */
const MAX_PLAIN = 30;
const MAX_EXTENSION = 8;
/** Joliet allows 64 characters; two of them are the version. */
const MAX_JOLIET = 62;
/** Every identifier ends in it (ECMA-119 7.5.1). */
export const VERSION = ";1";

/**
 * Names in byte order of their UTF-8.
 *
 * @throws {ProvError} MEDIA_INVALID when a name is no file name, or is there twice.
 */
export function isoNames(names: readonly string[]): IsoNames[] {
  const plainTaken = new Set<string>();
  const jolietTaken = new Set<string>();
  return sortedNames(names).map((name) => ({
    name,
    plain: plainName(name, plainTaken),
    joliet: jolietName(name, jolietTaken),
  }));
}

function sortedNames(names: readonly string[]): string[] {
  for (const name of names) checkName(name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw invalid(`Cannot write an ISO image: the file ${JSON.stringify(twice)} is there twice`);
  }
  return names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function checkName(name: string): void {
  const legal =
    name !== "" && name !== "." && name !== ".." && !/[/\0]/.test(name) && name.isWellFormed();
  if (!legal) throw invalid(`Cannot write an ISO image: ${JSON.stringify(name)} is no file name`);
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw invalid(
      `Cannot write an ISO image: the name ${JSON.stringify(name)} is longer than ${MAX_NAME_BYTES} bytes`,
    );
  }
}

const invalid = (message: string) => new ProvError(message, { code: "MEDIA_INVALID" });

function plainName(name: string, taken: Set<string>): string {
  const dot = name.lastIndexOf(".");
  const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot + 1)] : [name, ""];
  const end = `.${dCharacters(extension).slice(0, MAX_EXTENSION)}`;
  return unique(dCharacters(stem), end, MAX_PLAIN + 1 - end.length, taken) + VERSION;
}

/** The d-characters A-Z, 0-9 and `_` (ECMA-119 7.4.1). */
const dCharacters = (text: string): string => text.toUpperCase().replaceAll(/[^A-Z0-9_]/gu, "_");

function jolietName(name: string, taken: Set<string>): string {
  // What the Joliet specification forbids, and what UCS-2 cannot say.
  const legal = name.replaceAll(/[\p{Cc}*/:;?\\]|[\u{10000}-\u{10FFFF}]/gu, "_");
  const dot = legal.lastIndexOf(".");
  const keepsEnd = dot > 0 && legal.length - dot <= MAX_EXTENSION + 1;
  const [stem, end] = keepsEnd ? [legal.slice(0, dot), legal.slice(dot)] : [legal, ""];
  return unique(stem, end, MAX_JOLIET - end.length, taken) + VERSION;
}

/** `stem` cut to `room` and joined with `end`; a number replaces its last characters until it is free. */
function unique(stem: string, end: string, room: number, taken: Set<string>): string {
  let candidate = stem.slice(0, room) + end;
  for (let n = 1; taken.has(fold(candidate)); n++) {
    const number = String(n).padStart(3, "0");
    candidate = stem.slice(0, room - number.length) + number + end;
  }
  taken.add(fold(candidate));
  return candidate;
}

/** Readers of Joliet (Windows) fold case, so names that differ only by case count as the same. */
const fold = (name: string): string => name.toUpperCase();
