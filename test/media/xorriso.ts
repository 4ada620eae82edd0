// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdtempSync, rmSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Runs a tool to its end and gives back what it printed; a failing tool fails the test. */
export function run(...argv: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(argv, {
    env: { ...process.env, LC_ALL: "C" },
  });
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${exitCode}\n${stderr}`);
  return stdout.toString();
}

/** A directory that is gone when the test's scope is. */
export function scratch(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "prov-media-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** All files of an image as xorriso restores them: name to content. */
export async function extract(isoPath: string, into: string): Promise<Map<string, Uint8Array>> {
  run(
    "xorriso",
    "-abort_on",
    "WARNING",
    "-osirrox",
    "on:auto_chmod_on",
    "-indev",
    isoPath,
    "-extract",
    "/",
    into,
  );
  const files = new Map<string, Uint8Array>();
  for (const name of (await readdir(into)).toSorted()) {
    files.set(name, await Bun.file(join(into, name)).bytes());
  }
  return files;
}
