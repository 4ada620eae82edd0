// SPDX-License-Identifier: AGPL-3.0-or-later
import { link, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { algorithmOf, type Digest, hexOf } from "../digest.ts";
import { errnoOf, makeDirectory, removeFile, syncPath, writeWhole } from "./durable.ts";

/** Where content lies whose bytes are not its digest's: `quarantine/<alg>-<hex>`, with a note beside it. */
function quarantinePath(root: string, digest: Digest): string {
  return join(root, "quarantine", `${algorithmOf(digest)}-${hexOf(digest)}`);
}

/**
 * Takes damaged files away from where they are served. The first one is kept for a closer look.
 * @returns where, or null when none of them is there any more.
 */
export async function setAside(
  root: string,
  digest: Digest,
  paths: readonly string[],
): Promise<string | null> {
  const target = quarantinePath(root, digest);
  await makeDirectory(dirname(target));
  for (const path of paths) {
    await linkIfNew(path, target);
    // Its new name before the loss of the old one.
    await syncPath(dirname(target));
    if (await removeFile(path)) await syncPath(dirname(path));
  }
  return (await exists(target)) ? target : null;
}

/** Says beside a file in quarantine what it was. */
export async function writeNote(root: string, digest: Digest, note: unknown): Promise<void> {
  await makeDirectory(join(root, "quarantine"));
  await writeWhole(`${quarantinePath(root, digest)}.json`, JSON.stringify(note, null, 2));
}

async function linkIfNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const code = errnoOf(error);
    // One of an earlier time may be there; a copy that cannot be linked is just removed.
    if (code !== "EEXIST" && code !== "ENOENT" && code !== "EMLINK") throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
