// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ProvError } from "../base/errors.ts";

/**
 * Unpacks the tar that oras makes of a directory: all of its entries lie below the directory's name.
 * It appears when it is whole, where nothing was before.
 *
 * @param path where the directory goes.
 * @throws {ProvError} `ARTIFACT_INVALID` for a tar with anything else in it, or with devices.
 */
export async function unpackDirectory(tarball: string, path: string): Promise<void> {
  const parent = dirname(path);
  await mkdir(parent, { recursive: true });
  const room = await mkdtemp(join(parent, ".prov-unpack-"));
  try {
    // GNU tar itself keeps every entry below its directory, whatever its name or a link says.
    // For root the last two are not tar's own choice: it would make set-user-ID programs.
    const child = Bun.spawn(
      [
        ...["tar", "--extract", `--file=${tarball}`, `--directory=${room}`],
        ...["--no-same-owner", "--no-same-permissions"],
      ],
      { stdin: "ignore", stdout: "ignore", stderr: "pipe" },
    );
    const complaint = (await child.stderr.text()).trim();
    if ((await child.exited) !== 0) throw notADirectory(path, complaint.slice(0, 300));
    const [only, ...others] = await readdir(room, { withFileTypes: true });
    if (only?.isDirectory() !== true || others.length > 0) {
      throw notADirectory(path, "something else is at its top");
    }
    const inside = await readdir(room, { recursive: true, withFileTypes: true });
    // Root has made them: the machine's disk, for everybody to write to.
    const odd = inside.find(
      (entry) => !(entry.isFile() || entry.isDirectory() || entry.isSymbolicLink()),
    );
    if (odd !== undefined) throw notADirectory(path, `${odd.name} is a device or a pipe`);
    await rename(join(room, only.name), path);
  } finally {
    await rm(room, { recursive: true, force: true });
  }
}

function notADirectory(path: string, cause: string): ProvError {
  return new ProvError(`Cannot unpack ${path}: it is not the tar of one directory`, {
    code: "ARTIFACT_INVALID",
    cause,
  });
}
