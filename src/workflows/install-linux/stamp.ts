// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Notes that steps leave in the installed system, so that a later run can tell that its work is done.
 * They lie in /etc, which is always on the root.
 */
import { stringAt } from "../../base/json.ts";
import type { Found } from "../../plan/look.ts";
import type { JobContext } from "../workflow.ts";
import type { LinuxTarget } from "./target.ts";

/** Relative to the root. */
export const IMAGE_STAMP = "etc/prov/image.json";
export const BOOTLOADER_STAMP = "etc/prov/bootloader.json";

/** What was installed: the artifact by digest, and the layout it was installed into. */
export function stampText(target: LinuxTarget, job: JobContext): string {
  const artifact = job.artifact?.digest ?? null;
  return `${JSON.stringify({ version: 1, artifact, layout: target.layout.id })}\n`;
}

/**
 * Whether the stamp says that this very artifact is installed in this very layout. Never, when the digest
 * of the job's artifact is not known: a tag may have moved.
 */
export function isStamped(
  found: Found,
  path: string,
  target: LinuxTarget,
  job: JobContext,
): boolean {
  return (job.artifact?.digest ?? null) !== null && found.texts[path] === stampText(target, job);
}

/** The digest that is installed, when a stamp tells. */
export function stampedArtifact(found: Found): string | undefined {
  const text = found.texts[IMAGE_STAMP];
  if (text === undefined) return undefined;
  try {
    return stringAt(JSON.parse(text), "artifact") ?? "unknown";
  } catch {
    // A stamp that cannot be read is a stamp all the same: something was installed here.
    return "unknown";
  }
}
