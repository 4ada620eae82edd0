// SPDX-License-Identifier: AGPL-3.0-or-later
import { join } from "node:path";

/** Runs openssl in a directory. @throws {Error} with what it said when it fails. */
export async function openssl(directory: string, ...args: readonly string[]): Promise<string> {
  const child = Bun.spawn(["openssl", ...args], { cwd: directory, stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`openssl ${args.join(" ")}: ${out}${err}`);
  return out;
}

export const pemIn = (directory: string, name: string): Promise<string> =>
  Bun.file(join(directory, name)).text();
