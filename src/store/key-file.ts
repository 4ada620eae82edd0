// SPDX-License-Identifier: AGPL-3.0-or-later
import { linkSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { ProvError } from "../base/errors.ts";
import { KEY_BYTES, type Random } from "./seal.ts";

/**
 * Reads the key: {@link KEY_BYTES} raw bytes in a file that only its owner may read.
 *
 * @returns undefined when there is no such file.
 * @throws {ProvError} `CONFIG_INVALID` when others may read it, or it cannot be a key.
 */
export function readKeyFile(path: string): Uint8Array | undefined {
  const trying = `Cannot use the key file ${path}`;
  let key: Uint8Array;
  let mode: number;
  try {
    mode = statSync(path).mode & 0o777;
    key = new Uint8Array(readFileSync(path));
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw new ProvError(trying, { code: "CONFIG_INVALID", cause: error });
  }
  if ((mode & 0o077) !== 0) {
    throw new ProvError(`${trying}: others may read it (mode ${mode.toString(8)})`, {
      code: "CONFIG_INVALID",
      hint: `Run \`chmod 600 ${path}\`, and change the BMC passwords if someone may have read it.`,
    });
  }
  if (key.length !== KEY_BYTES) {
    throw new ProvError(`${trying}: it has ${key.length} bytes instead of ${KEY_BYTES}`, {
      code: "CONFIG_INVALID",
      hint: "Restore it from the backup.",
    });
  }
  return key;
}

/** Makes a key file with mode 0600. Of two processes that do so at once both get the same key. */
export function createKeyFile(path: string, random: Random): Uint8Array {
  // Linked into place whole: nobody ever reads half a key.
  const fresh = `${path}.${Buffer.from(random(6)).toString("hex")}.new`;
  try {
    writeFileSync(fresh, random(KEY_BYTES), { mode: 0o600, flag: "wx", flush: true });
    linkSync(fresh, path);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) {
      throw new ProvError(`Cannot create the key file ${path}`, {
        code: "CONFIG_INVALID",
        cause: error,
      });
    }
  } finally {
    rmSync(fresh, { force: true });
  }
  const key = readKeyFile(path);
  if (key === undefined) {
    throw new ProvError(`Cannot use the key file ${path}: it was removed`, {
      code: "CONFIG_INVALID",
    });
  }
  return key;
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
