// SPDX-License-Identifier: AGPL-3.0-or-later
import { open, readFile, rename, unlink } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { ProvError } from "../base/errors.ts";
import { assertNever } from "../base/never.ts";
import type { Action, Argv, Plan } from "../plan/action.ts";
import { makeInside, resolveInside } from "./inside.ts";
import { findInside } from "./look.ts";
import { type CommandRunner, expectSuccess } from "./runner.ts";
import { unpack } from "./unpack.ts";

export interface ExecuteDeps {
  readonly runner: CommandRunner;
  /** Opens the job's artifact; called for an `unpack` only. `size` is null when it is not known. */
  readonly openArtifact: (
    signal: AbortSignal,
  ) => Promise<{ readonly stream: ReadableStream<Uint8Array>; readonly size: number | null }>;
  readonly onEvent: (event: ActionEvent) => void;
}

export type ActionEvent =
  | { readonly kind: "started"; readonly index: number; readonly action: Action }
  | { readonly kind: "finished"; readonly index: number; readonly action: Action }
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "bytes"; readonly done: number; readonly total: number | null };

/**
 * Carries out the actions in order and stops at the first that fails. It decides nothing: no action is added,
 * left out or changed here.
 *
 * @throws {ProvError} what the failing action threw, under a message that says which it was.
 */
export async function executePlan(
  plan: Plan,
  deps: ExecuteDeps,
  signal: AbortSignal,
): Promise<void> {
  for (const [index, action] of plan.actions.entries()) {
    signal.throwIfAborted();
    deps.onEvent({ kind: "started", index, action });
    try {
      await execute(action, deps, signal);
    } catch (error) {
      // A program that was killed because of the signal only says that it was killed.
      throw failureOf(action, signal.aborted ? signal.reason : error);
    }
    deps.onEvent({ kind: "finished", index, action });
  }
}

function failureOf(action: Action, cause: unknown): ProvError {
  const code = cause instanceof ProvError ? cause.code : "COMMAND_FAILED";
  return new ProvError(`Cannot ${action.why}`, { code, cause });
}

async function execute(action: Action, deps: ExecuteDeps, signal: AbortSignal): Promise<void> {
  switch (action.kind) {
    case "run": {
      const onLine = (text: string) => deps.onEvent({ kind: "line", text });
      const options = { timeout: action.timeoutMs, signal, onLine };
      const argv = await argvInside(action.argv, action.root);
      expectSuccess(argv, await deps.runner.run(argv, options));
      return;
    }
    case "mkdir":
      await makeInside(action.root, relative(action.root, action.path));
      return;
    case "write":
      await writeDurably(action, action.text);
      return;
    case "copy":
      await writeDurably({ ...action, path: action.to }, await contentToCopy(action));
      return;
    case "unpack": {
      const { stream, size } = await deps.openArtifact(signal);
      await unpack({
        stream,
        artifact: action.artifact,
        into: action.into,
        timeout: action.timeoutMs,
        signal,
        onBytes: (done) => deps.onEvent({ kind: "bytes", done, total: size }),
      });
      return;
    }
    case "require":
      await requireAny(action);
      return;
    default:
      assertNever(action);
  }
}

/** What the program is to be told: arguments below `root` as the paths that they lead to. */
async function argvInside([program, ...words]: Argv, root: string | undefined): Promise<Argv> {
  if (root === undefined) return [program, ...words];
  const resolved = words.map(async (word) => {
    if (!word.startsWith(`${root}/`)) return word;
    const path = await resolveInside(root, relative(root, word));
    if (path !== undefined) return path;
    throw new ProvError(`There is no ${word}`, { code: "COMMAND_FAILED" });
  });
  return [program, ...(await Promise.all(resolved))];
}

async function contentToCopy({ from, decode }: Extract<Action, { kind: "copy" }>) {
  if (decode === "none") return readFile(from);
  return Buffer.from(await readFile(from, "latin1"), "base64");
}

/**
 * The file is whole or not there, also after a power cut. A link in its place is replaced; links on the way
 * there lead where they lead in the system at `root`.
 */
async function writeDurably(
  { root, path, mode }: { root: string; path: string; mode: number },
  content: string | Uint8Array,
): Promise<void> {
  let temporary: string | undefined;
  try {
    const directory = await makeInside(root, relative(root, dirname(path)));
    temporary = join(directory, `${basename(path)}.new`);
    await unlink(temporary).catch(() => {});
    {
      // "x": whatever has this name by now is not written through.
      await using file = await open(temporary, "wx", mode);
      await file.chmod(mode);
      await file.writeFile(content);
      await file.sync();
    }
    await rename(temporary, join(directory, basename(path)));
  } catch (error) {
    if (temporary !== undefined) await unlink(temporary).catch(() => {});
    const full = error instanceof Error && "code" in error && error.code === "ENOSPC";
    throw new ProvError(`Cannot write ${path}`, {
      code: full ? "DISK_FULL" : "COMMAND_FAILED",
      cause: error,
    });
  }
}

async function requireAny(action: Extract<Action, { kind: "require" }>): Promise<void> {
  for (const glob of action.anyOf) {
    if ((await findInside(action.root, glob)).length > 0) return;
  }
  throw new ProvError(action.missing, {
    code: "ARTIFACT_INVALID",
    hint: `Looked for ${action.anyOf.join(", ")}.`,
  });
}
