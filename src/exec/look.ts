// SPDX-License-Identifier: AGPL-3.0-or-later
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Found, Look } from "../plan/look.ts";
import { resolveInside } from "./inside.ts";

/** Answers a planner's questions about a mounted tree; see plan/look.ts for what they mean. */
export async function lookAt(look: Look): Promise<Found> {
  const paths = await Promise.all(look.find.map((glob) => findInside(look.root, glob)));
  const texts: Record<string, string> = {};
  const sha256: Record<string, string> = {};
  for (const path of await all(look.root, look.read)) {
    const text = await contentOf(look.root, path);
    if (text !== undefined) texts[path] = text.toString("utf8");
  }
  for (const path of await all(look.root, look.hash)) {
    const content = await contentOf(look.root, path);
    if (content === undefined) continue;
    sha256[path] = new Bun.CryptoHasher("sha256").update(content).digest("hex");
  }
  return { paths: [...new Set(paths.flat())].sort(), texts, sha256 };
}

async function all(root: string, globs: readonly string[]): Promise<string[]> {
  return (await Promise.all(globs.map((glob) => findInside(root, glob)))).flat();
}

/**
 * Every path below `root` that matches, component by component, so that directory links of the image
 * (`lib` → `usr/lib`) are followed inside the image.
 */
export async function findInside(root: string, glob: string): Promise<string[]> {
  let found = [""];
  for (const part of glob.split("/").filter((p) => p !== "")) {
    const matcher = /[*?[{]/.test(part) ? new Bun.Glob(part) : undefined;
    const next: string[] = [];
    for (const parent of found) {
      const names = matcher === undefined ? [part] : await namesIn(root, parent);
      for (const name of names) {
        if (matcher !== undefined && !matcher.match(name)) continue;
        const path = join(parent, name);
        if ((await resolveInside(root, path)) !== undefined) next.push(path);
      }
    }
    found = next;
  }
  return found.sort();
}

async function namesIn(root: string, directory: string): Promise<string[]> {
  const resolved = await resolveInside(root, directory);
  if (resolved === undefined) return [];
  return (await readdir(resolved).catch(() => [])).map((name) => basename(name));
}

async function contentOf(root: string, path: string): Promise<Buffer | undefined> {
  const resolved = await resolveInside(root, path);
  return resolved === undefined ? undefined : readFile(resolved).catch(() => undefined);
}
