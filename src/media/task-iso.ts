// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The task ISO: the small image that carries one job's recipe and envelope to its server.
 */
import { ProvError } from "../base/errors.ts";
import { formatBytes, mib } from "../base/units.ts";
import { buildIso, type IsoFile } from "./iso9660.ts";

/** The longest task ISO: the room that the maintenance ISO reserves for it in `/task.img`. */
export const TASK_IMAGE_BYTES = mib(16);

/** ISO 9660 allows 32 characters, and the prefix takes 5. */
const JOB_DIGITS = 27;

export interface TaskContent {
  /** A UUID; dashes do not count. */
  readonly jobId: string;
  readonly recipeText: string;
  readonly schemaText: string;
  /** JSON of `Envelope` in jobs/envelope.ts. */
  readonly envelopeText: string;
  /** What gets a file of its own beside the recipe, for installers that look for one: a recipe fits. */
  readonly payloads: {
    readonly userData: string | null;
    readonly unattendXml: string | null;
    readonly ksCfg: string | null;
  };
  /** Every date in the image: seconds since 1970, UTC. */
  readonly epoch: number;
}

/**
 * `TASK_` and the first 27 hex digits of the job id, in upper case.
 *
 * @throws {ProvError} MEDIA_INVALID when the id has fewer hex digits than that.
 */
export function taskVolumeId(jobId: string): string {
  const digits = jobId.replaceAll("-", "");
  if (!/^[0-9a-f]*$/i.test(digits) || digits.length < JOB_DIGITS) {
    throw new ProvError(`Cannot name the task ISO of job ${JSON.stringify(jobId)}: it is no UUID`, {
      code: "MEDIA_INVALID",
    });
  }
  return `TASK_${digits.slice(0, JOB_DIGITS).toUpperCase()}`;
}

/**
 * Texts are written as UTF-8.
 *
 * @throws {ProvError} MEDIA_INVALID when the image is longer than {@link TASK_IMAGE_BYTES}.
 */
export function buildTaskIso(content: TaskContent): Uint8Array {
  const files = [
    file("recipe.json", content.recipeText),
    file("recipe.schema.json", content.schemaText),
    file("task.json", content.envelopeText),
    file("user-data", content.payloads.userData),
    file("unattend.xml", content.payloads.unattendXml),
    file("ks.cfg", content.payloads.ksCfg),
  ].filter((f) => f !== undefined);
  const image = buildIso({ volumeId: taskVolumeId(content.jobId), files, epoch: content.epoch });
  if (image.length > TASK_IMAGE_BYTES) {
    throw new ProvError(
      `Cannot build the task ISO of job ${content.jobId}: ${formatBytes(image.length)} is more than ${formatBytes(TASK_IMAGE_BYTES)}`,
      {
        code: "MEDIA_INVALID",
        hint: "Make user_data, unattend_xml or ks_cfg of the recipe smaller.",
      },
    );
  }
  return image;
}

function file(name: string, text: string | null): IsoFile | undefined {
  return text === null ? undefined : { name, bytes: new TextEncoder().encode(text) };
}
