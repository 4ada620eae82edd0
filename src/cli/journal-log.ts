// SPDX-License-Identifier: AGPL-3.0-or-later

import type { Log, LogFields } from "../base/deps.ts";
import { describeError } from "../base/errors.ts";
import type { Terminal } from "./terminal.ts";

/** One readable line per entry, for the journal and the serial console: it has its own time stamps. */
export function journalLog(terminal: Terminal): Log {
  const write = (prefix: string) => (fields: LogFields, message: string) => {
    const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${render(value)}`);
    terminal.err(`${prefix}${message}${rest.join("")}`);
  };
  return {
    debug: () => {},
    info: write(""),
    warn: write("warning: "),
    error: write("error: "),
  };
}

function render(value: unknown): string {
  if (value instanceof Error) return describeError(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}
