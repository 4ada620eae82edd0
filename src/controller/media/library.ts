// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * From a media URL to its bytes. Every read is counted: it is how the controller knows that a BMC can reach it
 * and that a server starts from its medium.
 */
import type { MediaSource } from "../../media/answer.ts";
import { combinedIso } from "../../media/overlay.ts";
import type { MediaKind, MediaToken } from "../../store/store.ts";
import type { ControllerConfig } from "../config.ts";
import type { Metrics } from "../metrics.ts";
import type { ControllerDeps } from "../ports.ts";
import type { TaskIsos } from "./task-iso.ts";

/** The last part of a media URL's path. */
export const MEDIA_NAMES: Readonly<Record<MediaKind, string>> = {
  boot: "boot.iso",
  task: "task.iso",
  combined: "combined.iso",
};

const WHAT: Readonly<Record<MediaKind, string>> = {
  boot: "boot medium",
  task: "task medium",
  combined: "boot medium, with the task in it,",
};

interface Medium {
  readonly source: MediaSource;
  /** To be told of each GET that is answered with content. */
  onContent(): void;
}

export interface MediaLibrary {
  /**
   * @param path `/m/{token}/{name}.iso`
   * @returns undefined for what is unknown, expired, revoked or of another name: nobody learns which.
   * @throws {ProvError} `MEDIA_INVALID` when the maintenance ISO cannot be used.
   */
  find(path: string): Promise<Medium | undefined>;
}

export interface LibraryParts {
  readonly config: ControllerConfig;
  readonly taskIsos: TaskIsos;
  readonly metrics: Metrics;
  readonly deps: ControllerDeps;
}

export function createMediaLibrary(parts: LibraryParts): MediaLibrary {
  const { config, taskIsos, metrics, deps } = parts;
  /** First reads that were noted: a BMC opens several connections at once. */
  const noted = new Set<string>();

  async function count(token: MediaToken): Promise<void> {
    metrics.count("media_reads_total", { kind: token.kind });
    await deps.store.media.countGet(token.token, deps.now());
    if (token.gets > 0 || noted.has(token.token)) return;
    noted.add(token.token);
    const message = `The ${WHAT[token.kind]} is being read`;
    await deps.store.jobs.note(token.jobId, [{ level: "info", message, step: null }], deps.now());
  }

  return {
    async find(path) {
      const [, text = "", name] = /^\/m\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
      const token = await deps.store.media.get(text);
      if (token === undefined || MEDIA_NAMES[token.kind] !== name) return undefined;
      if (token.revokedAt !== null || token.expiresAt <= deps.now()) return undefined;
      const source = await sourceOf(token, config, taskIsos);
      if (source === undefined) return undefined;
      return {
        source,
        onContent() {
          count(token).catch((error: unknown) => {
            deps.log.error({ job_id: token.jobId, err: error }, "read of a medium not counted");
          });
        },
      };
    },
  };
}

async function sourceOf(
  token: MediaToken,
  { maintenanceIso: path }: ControllerConfig,
  taskIsos: TaskIsos,
): Promise<MediaSource | undefined> {
  if (token.kind === "boot") return path === null ? undefined : { kind: "file", path };
  const iso = await taskIsos.get(token.jobId);
  if (iso === undefined) return undefined;
  if (token.kind === "task") return { kind: "bytes", bytes: iso.bytes };
  return path === null ? undefined : { kind: "overlay", overlay: combinedIso(path, iso.bytes) };
}
