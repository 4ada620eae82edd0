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
  const todo = path.split("/");
  const done: string[] = [];
  let links = 0;
  while (todo.length > 0) {
    const part = todo.shift() ?? "";
    if (part === "..") done.pop();
    if (part === "" || part === "." || part === "..") continue;
    const step = await follow(join(root, ...done, part));
    if (step.kind === "nothing") return undefined;
    if (step.kind === "entry") done.push(part);
    else {
      if (++links > MAX_LINKS) return undefined;
      if (step.target.startsWith("/")) done.length = 0;
      todo.unshift(...step.target.split("/"));
    }
  }
  return join(root, ...done);
}

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
