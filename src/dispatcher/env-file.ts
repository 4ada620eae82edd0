// SPDX-License-Identifier: AGPL-3.0-or-later

/**
 * Renders `KEY=value` lines that systemd's `EnvironmentFile=` (systemd.exec(5)) and podman's
 * `--env-file` read as the same values. systemd strips quotes and handles backslashes, podman takes
 * everything literally, so only what both leave alone may stand in a value.
 *
 * @throws {RangeError} for a value that the two would read differently, or that could inject a key.
 */
export function renderEnvFile(values: Readonly<Record<string, string | null>>): string {
  return Object.entries(values)
    .filter((entry): entry is [string, string] => entry[1] !== null)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => {
      if (!/^[A-Z][A-Z0-9_]*$/.test(key)) throw new RangeError(`Not a variable name: "${key}"`);
      if (!isPortable(value)) {
        throw new RangeError(
          `Cannot write ${key} to an environment file: it has control characters, a backslash, or quotes or spaces at its ends`,
        );
      }
      return `${key}=${value}\n`;
    })
    .join("");
}

function isPortable(value: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  return !/[\u0000-\u001f\u007f\\]/.test(value) && !/^[\s"']|\s$/.test(value);
}
