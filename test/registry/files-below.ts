// SPDX-License-Identifier: AGPL-3.0-or-later

/** Paths of all files below a registry's root but its databases, in order. */
export async function filesBelow(root: string): Promise<string[]> {
  const all = await Array.fromAsync(new Bun.Glob("**/*").scan({ cwd: root, dot: true }));
  return all.filter((path) => !/^(?:index|lock)\.db/.test(path)).sort();
}
