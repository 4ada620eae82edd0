// SPDX-License-Identifier: AGPL-3.0-or-later
/** Files that a person named on the command line: what is wrong with one is said as a sentence. */
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { ProvError } from "../base/errors.ts";
import type { Terminal } from "./terminal.ts";

/** What people meet most, in words; anything else keeps the system's own. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EEXIST: "something else is there",
  ENOTDIR: "a part of its path is no directory",
  EACCES: "permission denied",
  EISDIR: "it is a directory",
  ENOSPC: "the file system is full",
  EROFS: "the file system is read-only",
};

/** How "-" is written once the command line is parsed. */
export const STDIN = "/dev/stdin";

/** The text of a file, or of standard input. @throws {ProvError} `USAGE` */
export async function readText(path: string, terminal: Terminal): Promise<string> {
  if (path === "-" || path === STDIN) return await terminal.stdin();
  return await onFile("read", path, () => readFile(path, "utf8"));
}

/**
 * Certificates, PEM. What is none of them would be taken for a server that is down.
 * @throws {ProvError} `USAGE`
 */
export async function readCertificates(path: string, terminal: Terminal): Promise<string> {
  const text = await readText(path, terminal);
  const blocks = text.match(/-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs) ?? [];
  try {
    for (const block of blocks) new X509Certificate(block);
  } catch (cause) {
    throw new ProvError(`Cannot use ${nameOf(path)}: a certificate in it is damaged`, {
      code: "USAGE",
      cause,
    });
  }
  if (blocks.length > 0) return text;
  throw new ProvError(`Cannot use ${nameOf(path)}: it has no certificate`, {
    code: "USAGE",
    hint: "It must have the CA's certificate as PEM: -----BEGIN CERTIFICATE-----…",
  });
}

/** A secret: the newline that editors leave at the end of a file is not part of it. */
export async function readSecret(path: string, terminal: Terminal): Promise<string> {
  return (await readText(path, terminal)).replace(/\r?\n$/, "");
}

/** A JSON document. @throws {ProvError} `USAGE` */
export async function readJson(path: string, terminal: Terminal): Promise<unknown> {
  const text = await readText(path, terminal);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ProvError(`Cannot use ${nameOf(path)}: it is not JSON`, {
      code: "USAGE",
      cause: error,
    });
  }
}

/** A YAML document. @throws {ProvError} `CONFIG_INVALID` */
export async function readYaml(path: string): Promise<unknown> {
  const text = await onFile("read", path, () => readFile(path, "utf8"));
  try {
    return Bun.YAML.parse(text);
  } catch (error) {
    throw new ProvError(`Cannot use ${path}: it is not YAML`, {
      code: "CONFIG_INVALID",
      cause: error,
    });
  }
}

/** Does `work` on a file; an error of the system becomes `Cannot read x: there is no such file`. */
export async function onFile<T>(
  verb: "read" | "write" | "use" | "rebuild",
  path: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw inWords(verb, path, error);
  }
}

function inWords(verb: string, path: string, error: unknown): unknown {
  if (!(error instanceof Error && "code" in error && "syscall" in error)) return error;
  const cause = REASONS[String(error.code)] ?? error;
  return new ProvError(`Cannot ${verb} ${path}`, { code: "USAGE", cause });
}

/** What the file is called in messages. */
export const nameOf = (path: string): string => (path === STDIN ? "standard input" : path);
