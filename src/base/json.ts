// SPDX-License-Identifier: AGPL-3.0-or-later

export type JsonObject = Readonly<Record<string, unknown>>;

/** True for objects and false for arrays and null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Property `key` of a parsed JSON value; undefined when the value is no object or has none. */
export function property(value: unknown, key: string): unknown {
  return isObject(value) ? value[key] : undefined;
}

/** The value at a path of keys: `at(doc, "Boot", "BootSourceOverrideTarget")`. */
export function at(value: unknown, ...keys: readonly string[]): unknown {
  return keys.reduce(property, value);
}

export function stringAt(value: unknown, ...keys: readonly string[]): string | undefined {
  const found = at(value, ...keys);
  return typeof found === "string" ? found : undefined;
}

export function arrayAt(value: unknown, ...keys: readonly string[]): readonly unknown[] {
  const found = at(value, ...keys);
  return Array.isArray(found) ? found : [];
}
