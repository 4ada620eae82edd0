// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What each setting is: a flag wins over the environment, the environment over the file.
 */
import { ProvError } from "../base/errors.ts";
import { isObject } from "../base/json.ts";
import { SETTINGS, type SettingKey } from "./known-settings.ts";

/** What was found for each setting, as text; a setting without a value or default is absent. */
export type Settings = Readonly<Partial<Record<SettingKey, string>>>;

/**
 * @param flags by setting key, as the command line gave them.
 * @param file the parsed prov.yaml, or undefined.
 * @throws {ProvError} `CONFIG_INVALID` for an unknown key in the file.
 */
export function resolveSettings(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  file: unknown,
): Settings {
  if (file !== undefined && file !== null && !isObject(file)) {
    throw new ProvError("Cannot use the configuration: it is not a list of settings", {
      code: "CONFIG_INVALID",
      hint: "Write one setting per line: storage_root: /var/lib/prov",
    });
  }
  const fromFile = isObject(file) ? file : {};
  const known = new Set<string>(SETTINGS.map(({ key }) => key));
  const unknown = Object.keys(fromFile).filter((key) => !known.has(key));
  if (unknown.length > 0) {
    throw new ProvError(`Cannot use the configuration: unknown key "${unknown.join('", "')}"`, {
      code: "CONFIG_INVALID",
      hint: `Known keys are ${[...known].join(", ")}.`,
    });
  }
  const settings: Partial<Record<SettingKey, string>> = {};
  for (const setting of SETTINGS) {
    const value =
      asText(flags[setting.key]) ??
      // Units and containers like to set what they have no value for to nothing.
      (env[setting.env] || undefined) ??
      asText(fromFile[setting.key]) ??
      ("default" in setting ? setting.default : undefined);
    if (value !== undefined) settings[setting.key] = value;
  }
  return settings;
}

function asText(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  return Array.isArray(value) ? value.join(",") : String(value);
}
