// SPDX-License-Identifier: AGPL-3.0-or-later
import { lstat, mkdir, readlink } from "node:fs/promises";
import { join } from "node:path";

/** As the kernel does (path_resolution(7)). */
const MAX_LINKS = 40;

/**
 * Where `path` leads inside the tree at `root`, symlinks resolved as if `root` were "/": an absolute link
 * in an image means the image's own root, and ".." never leads out of it.
 *
 * @returns undefined when there is nothing there.
 */
export function resolveInside(root: string, path: string): Promise<string | undefined> {
  return walk(root, path, () => Promise.resolve(false));
}

/**
 * Makes the directory that `path` means inside the tree at `root`, and those above it, as far as they are
 * missing: a dangling link of the image gets what it leads to.
 *
 * @returns where it is.
 * @throws {Error} of mkdir(2), or ELOOP.
 */
export async function makeInside(root: string, path: string): Promise<string> {
  await mkdir(root, { recursive: true });
  const made = await walk(root, path, async (missing) => {
    await mkdir(missing);
    return true;
  });
  if (made === undefined) throw new Error(`too many symbolic links in ${join(root, path)}`);
  return made;
}

/** Follows `path` component by component. `make` is asked for what is missing, and says whether it is there now. */
async function walk(
  root: string,
  path: string,
  make: (missing: string) => Promise<boolean>,
): Promise<string | undefined> {
  const todo = split(path);
  const done: string[] = [];
  for (let links = 0; todo.length > 0 && links <= MAX_LINKS; ) {
    const part = todo.shift() ?? "";
    if (part === "..") {
      done.pop();
      continue;
    }
    const at = join(root, ...done, part);
    const step = await follow(at);
    if (step.kind === "nothing" && !(await make(at))) return undefined;
    if (step.kind !== "link") {
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
