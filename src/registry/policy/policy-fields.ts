// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * How the parts of a policy document are read: each reader gives the value, or says what is wrong with it
 * and where.
 */
import type { Finding } from "../../base/findings.ts";
import { isObject } from "../../base/json.ts";

export interface Place {
  /** RFC 6901 JSON pointer. */
  readonly path: string;
  /** Where everything that is wrong is collected. */
  readonly findings: Finding[];
}

/** @returns undefined after a finding. */
export type Read<T> = (value: unknown, place: Place) => T | undefined;

interface Field<T> {
  /** As the document writes it. */
  readonly name: string;
  readonly read: Read<T>;
  /** What counts when it is left out; without this it must be there. */
  readonly absent?: T;
}

/** Keeps a hostile document small. */
const MAX_ITEMS = 1000;

export function finding(place: Place, code: string, message: string): undefined {
  place.findings.push({ path: place.path, code, message });
}

export function inside(place: Place, key: string | number): Place {
  const token = String(key).replaceAll("~", "~0").replaceAll("/", "~1");
  return { path: `${place.path}/${token}`, findings: place.findings };
}

/** An object with these fields and no others. */
export function object<T extends object>(
  fields: {
    readonly [K in keyof T]: Field<T[K]>;
  },
): Read<T> {
  const all = Object.entries<Field<unknown>>(fields);
  const names = all.map(([, { name }]) => name);
  return (value, place) => {
    if (!isObject(value)) return finding(place, "type", "must be an object");
    const before = place.findings.length;
    const result = all.map(([key, field]) => [key, readField(value, field, place)] as const);
    for (const name of Object.keys(value).filter((each) => !names.includes(each))) {
      const message = `is not one of ${names.join(", ")}`;
      finding(inside(place, name), "additionalProperties", message);
    }
    return place.findings.length > before ? undefined : (Object.fromEntries(result) as T);
  };
}

function readField(value: object, field: Field<unknown>, place: Place): unknown {
  if (Object.hasOwn(value, field.name)) {
    return field.read(Reflect.get(value, field.name), inside(place, field.name));
  }
  if (field.absent !== undefined) return field.absent;
  return finding(place, "required", `must have "${field.name}"`);
}

export function list<T>(item: Read<T>): Read<readonly T[]> {
  return (value, place) => {
    if (!Array.isArray(value)) return finding(place, "type", "must be a list");
    if (value.length > MAX_ITEMS) {
      return finding(place, "maxItems", `must have at most ${MAX_ITEMS} items`);
    }
    const items = value.map((entry, i) => item(entry, inside(place, i)));
    return items.filter((entry) => entry !== undefined);
  };
}

/** An object whose keys are names that people have chosen. */
export function named<T>(isName: (key: string) => boolean, item: Read<T>) {
  return (value: unknown, place: Place): Readonly<Record<string, T>> | undefined => {
    if (!isObject(value)) return finding(place, "type", "must be an object");
    const entries = Object.entries(value).flatMap(([key, entry]) => {
      const at = inside(place, key);
      if (!isName(key)) finding(at, "propertyNames", "is no plain name");
      const read = item(entry, at);
      return read === undefined ? [] : [[key, read] as const];
    });
    return Object.fromEntries(entries);
  };
}

/** Text that `parse` makes something of. */
export function text<T>(parse: (value: string) => T | undefined, what: string): Read<T> {
  return (value, place) => {
    const parsed = typeof value === "string" ? parse(value) : undefined;
    return parsed ?? finding(place, "format", `must be ${what}`);
  };
}

export function number(min: number, max: number): Read<number> {
  return (value, place) =>
    typeof value === "number" && value >= min && value <= max
      ? value
      : finding(place, "range", `must be a number from ${min} to ${max}`);
}

export function integer(min: number, max: number): Read<number> {
  return (value, place) =>
    typeof value === "number" && Number.isInteger(value) && value >= min && value <= max
      ? value
      : finding(place, "range", `must be a whole number from ${min} to ${max}`);
}

export const boolean: Read<boolean> = (value, place) =>
  typeof value === "boolean" ? value : finding(place, "type", "must be true or false");
