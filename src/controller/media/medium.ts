// SPDX-License-Identifier: AGPL-3.0-or-later
import type { MediaSource } from "../../media/answer.ts";
import { combinedIso } from "../../media/overlay.ts";
import type { MediaKind, MediaToken, Store } from "../../store/store.ts";
import type { ControllerConfig } from "../config.ts";
import type { TaskIsos } from "./task-iso.ts";

/** The last part of a media URL's path. */
export const MEDIA_NAMES: Readonly<Record<MediaKind, string>> = {
  boot: "boot.iso",
  task: "task.iso",
  combined: "combined.iso",
};

/** What a token URL stands for now; undefined for what is unknown, expired, revoked or of another name. */
export async function findToken(
  token: string,
  name: string,
  store: Store,
  now: number,
): Promise<MediaToken | undefined> {
  const found = await store.media.get(token);
  if (found === undefined || MEDIA_NAMES[found.kind] !== name) return undefined;
  return found.revokedAt === null && found.expiresAt > now ? found : undefined;
}

/**
 * The bytes behind a token.
 * @throws {ProvError} `MEDIA_INVALID` when the maintenance ISO cannot be used.
 */
export async function sourceOf(
  token: MediaToken,
  config: ControllerConfig,
  taskIsos: TaskIsos,
): Promise<MediaSource | undefined> {
  const path = config.maintenanceIso;
  if (token.kind === "boot") return path === null ? undefined : { kind: "file", path };
  const iso = await taskIsos.get(token.jobId);
  if (iso === undefined) return undefined;
  if (token.kind === "task") return { kind: "bytes", bytes: iso.bytes };
  return path === null ? undefined : { kind: "overlay", overlay: combinedIso(path, iso.bytes) };
}
