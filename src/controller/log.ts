// SPDX-License-Identifier: AGPL-3.0-or-later
import { pino } from "pino";
import type { Log } from "../base/deps.ts";
import { describeError, hintOf, ProvError } from "../base/errors.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The second line of defence: nothing is given to the log that has these names in the first place. */
const SECRETS = ["password", "token", "secret", "authorization", "recipe", "key"];

/**
 * JSON lines with `time`, `level`, `msg` and the given fields; `err` becomes its message, code and stack.
 * @param destination takes whole lines; standard output when it is left out.
 */
export function createLog(
  level: LogLevel,
  destination?: { readonly write: (line: string) => void },
): Log {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: toErrorFields },
    redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`]), censor: "[redacted]" },
  };
  const log = destination === undefined ? pino(options) : pino(options, destination);
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
  };
}

function toErrorFields(error: unknown) {
  if (!(error instanceof Error)) return { message: String(error) };
  const hint = hintOf(error);
  return {
    message: describeError(error),
    ...(error instanceof ProvError ? { code: error.code } : { stack: error.stack }),
    ...(hint !== undefined && { hint }),
  };
}
