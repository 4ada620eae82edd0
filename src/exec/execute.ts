// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdir, open, readFile, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { ProvError } from "../base/errors.ts";
import { assertNever } from "../base/never.ts";
import type { Action, Plan } from "../plan/action.ts";
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
      signal.throwIfAborted();
      if (!(error instanceof ProvError)) {
        throw new ProvError(`Cannot ${action.why}`, { code: "COMMAND_FAILED", cause: error });
      }
      throw new ProvError(`Cannot ${action.why}`, { code: error.code, cause: error });
    }
    deps.onEvent({ kind: "finished", index, action });
  }
}

async function execute(action: Action, deps: ExecuteDeps, signal: AbortSignal): Promise<void> {
  switch (action.kind) {
    case "run": {
      const onLine = (text: string) => deps.onEvent({ kind: "line", text });
      const options = { timeout: action.timeoutMs, signal, onLine };
      expectSuccess(action.argv, await deps.runner.run(action.argv, options));
      return;
    }
    case "write":
      await writeDurably(action.path, action.text, action.mode);
      return;
    case "copy":
      await copy(action.from, action.to, action);
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

async function copy(
  from: string,
  to: string,
  options: { mode: number; decode: "none" | "base64" },
): Promise<void> {
  if (options.decode === "base64") {
    const text = await readFile(from, "latin1");
    await writeDurably(to, Buffer.from(text, "base64"), options.mode);
    return;
  }
  await writeDurably(to, await readFile(from), options.mode);
}

/** The file is whole or not there, also after a power cut. */
async function writeDurably(
  path: string,
  content: string | Uint8Array,
  mode: number,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.new`;
  try {
    {
      await using file = await open(temporary, "w", mode);
      await file.chmod(mode);
      await file.writeFile(content);
      await file.sync();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
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
