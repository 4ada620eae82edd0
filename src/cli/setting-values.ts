// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The text of a setting, as what it stands for. All throw {@link ProvError} `CONFIG_INVALID` for any other text.
 */
import { ProvError } from "../base/errors.ts";
import { type Bytes, bytes, type Millis, millis } from "../base/units.ts";
import type { SettingKey } from "./known-settings.ts";
import type { Settings } from "./settings.ts";

/** `30s`, `1m`, `4h`, `30d`, `500ms`. @throws {ProvError} `CONFIG_INVALID` */
export function durationSetting(settings: Settings, key: SettingKey): Millis | undefined {
  const text = settings[key];
  return text === undefined ? undefined : parseDuration(`the setting ${key}`, text);
}

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @param what it is for the message. @throws {ProvError} `CONFIG_INVALID` */
export function parseDuration(what: string, text: string): Millis {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  const unit = Object.entries(UNIT_MS).find(([name]) => name === match?.[2]);
  if (match !== null && unit !== undefined) return millis(Number(match[1]) * unit[1]);
  throw notUsable(what, text, "a duration such as 30s, 10m or 4h");
}

const RATE_UNITS = { "": 1, K: 1e3, M: 1e6, G: 1e9 };

/** `50M`: bytes per second, more than none. @throws {ProvError} `CONFIG_INVALID` */
export function rateSetting(settings: Settings, key: SettingKey): Bytes {
  const text = settings[key] ?? "";
  const match = /^(\d{1,9})([KMG]?)$/.exec(text);
  const unit = Object.entries(RATE_UNITS).find(([name]) => name === match?.[2]);
  if (match === null || unit === undefined || Number(match[1]) === 0) {
    throw invalid(key, text, "a number of bytes such as 500K, 50M or 1G");
  }
  return bytes(Number(match[1]) * unit[1]);
}

export function numberSetting(settings: Settings, key: SettingKey): number {
  const text = settings[key] ?? "";
  if (!/^\d{1,9}$/.test(text)) throw invalid(key, text, "a whole number");
  return Number(text);
}

export function switchSetting(settings: Settings, key: SettingKey): boolean {
  const text = settings[key] ?? "false";
  if (["true", "1", "yes"].includes(text)) return true;
  if (["false", "0", "no", ""].includes(text)) return false;
  throw invalid(key, text, "true or false");
}

export function listSetting(settings: Settings, key: SettingKey): readonly string[] {
  return (settings[key] ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** Base URLs. @throws {ProvError} `CONFIG_INVALID` */
export function urlsSetting(settings: Settings, key: SettingKey): readonly string[] {
  const urls = listSetting(settings, key);
  for (const text of urls) {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const isBase = url !== undefined && /^https?:$/.test(url.protocol) && url.username === "";
    if (!isBase || url.search !== "")
      throw invalid(key, text, "a URL such as http://10.0.0.1:8080");
  }
  return urls;
}

/** One of a few words. @throws {ProvError} `CONFIG_INVALID` */
export function choiceSetting<Choice extends string>(
  settings: Settings,
  key: SettingKey,
  choices: readonly Choice[],
): Choice {
  const text = settings[key] ?? "";
  const choice = choices.find((each) => each === text);
  if (choice === undefined) throw invalid(key, text, `one of ${choices.join(", ")}`);
  return choice;
}

/** `0.0.0.0:8080`, `[::]:8080`; undefined for "none" or no value. */
export function addressSetting(
  settings: Settings,
  key: SettingKey,
): { hostname: string; port: number } | undefined {
  const text = settings[key];
  if (text === undefined || text === "none") return undefined;
  const match = /^(\[[0-9a-fA-F:]+\]|[^:]*):(\d{1,5})$/.exec(text);
  if (match === null || Number(match[2]) > 65_535) {
    throw invalid(key, text, "an address such as 0.0.0.0:8080");
  }
  const hostname = (match[1] ?? "").replace(/^\[|\]$/g, "");
  return { hostname: hostname === "" ? "0.0.0.0" : hostname, port: Number(match[2]) };
}

function invalid(key: SettingKey, value: string, wanted: string): ProvError {
  return notUsable(`the setting ${key}`, value, wanted);
}

function notUsable(what: string, value: string, wanted: string): ProvError {
  return new ProvError(`Cannot use ${what}: "${value}" is not ${wanted}`, {
    code: "CONFIG_INVALID",
  });
}
