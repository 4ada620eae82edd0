// SPDX-License-Identifier: AGPL-3.0-or-later
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
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
    const matches = await Promise.all(found.map((parent) => matchesIn(root, parent, part)));
    found = matches.flat();
  }
  return found.sort();
}

async function matchesIn(root: string, parent: string, part: string): Promise<string[]> {
  const names = /[*?[{]/.test(part)
    ? (await namesIn(root, parent)).filter((name) => new Bun.Glob(part).match(name))
    : [part];
  const paths = names.map((name) => join(parent, name));
  const there = await Promise.all(paths.map((path) => resolveInside(root, path)));
  return paths.filter((_, i) => there[i] !== undefined);
}

async function namesIn(root: string, directory: string): Promise<string[]> {
  const resolved = await resolveInside(root, directory);
  if (resolved === undefined) return [];
  return readdir(resolved).catch(() => []);
}

async function contentOf(root: string, path: string): Promise<Buffer | undefined> {
  const resolved = await resolveInside(root, path);
  return resolved === undefined ? undefined : readFile(resolved).catch(() => undefined);
}
