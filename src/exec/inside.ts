// SPDX-License-Identifier: AGPL-3.0-or-later
import { lstat, readlink } from "node:fs/promises";
import { join } from "node:path";

/** As the kernel does (path_resolution(7)). */
const MAX_LINKS = 40;

/**
 * Where `path` leads inside the tree at `root`, symlinks resolved as if `root` were "/": an absolute link
 * in an image means the image's own root, and ".." never leads out of it.
 *
 * @returns undefined when there is nothing there.
 */
export async function resolveInside(root: string, path: string): Promise<string | undefined> {
  const todo = split(path);
  const done: string[] = [];
  for (let links = 0; todo.length > 0 && links <= MAX_LINKS; ) {
    const part = todo.shift() ?? "";
    if (part === "..") {
      done.pop();
      continue;
    }
    const step = await follow(join(root, ...done, part));
    if (step.kind === "nothing") return undefined;
    if (step.kind === "entry") {
      done.push(part);
      continue;
    }
    links++;
    if (step.target.startsWith("/")) done.length = 0;
    todo.unshift(...split(step.target));
  }
  return todo.length > 0 ? undefined : join(root, ...done);
}

const split = (path: string): string[] => path.split("/").filter((p) => p !== "" && p !== ".");

type Step =
  | { readonly kind: "nothing" }
  | { readonly kind: "entry" }
  | { readonly kind: "link"; readonly target: string };

async function follow(path: string): Promise<Step> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return { kind: "nothing" };
  return found.isSymbolicLink()
    ? { kind: "link", target: await readlink(path) }
    : { kind: "entry" };
}
