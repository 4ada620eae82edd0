// SPDX-License-Identifier: AGPL-3.0-or-later
import { createHash } from "node:crypto";
import type { Job } from "../../jobs/job.ts";
import { isActive } from "../../jobs/lifecycle.ts";
import { buildTaskIso } from "../../media/task-iso.ts";
import { parseRecipe } from "../../recipe/parse.ts";
import { RECIPE_SCHEMA_TEXT } from "../../recipe/schema.ts";
import type { Store } from "../../store/store.ts";

export interface TaskIso {
  readonly bytes: Uint8Array;
  /** Lower-case hex. */
  readonly sha256: string;
}

export interface TaskIsos {
  /** The task ISO of an active job; undefined when there is none, or it has no envelope yet. */
  get(jobId: string): Promise<TaskIso | undefined>;
}

/** Those of all running jobs at most sites; a few hundred KB each. */
const KEPT_MAX = 32;

/**
 * Task ISOs are not stored: they are built when they are asked for, and the last ones are kept. They hold
 * secrets, so no URL of one, and nothing here, outlives its job.
 */
export function createTaskIsos(store: Store): TaskIsos {
  const kept = new Map<string, TaskIso>();
  return {
    async get(jobId) {
      const job = await store.jobs.get(jobId);
      const known =
        job !== undefined && isActive(job.status)
          ? (kept.get(jobId) ?? (await build(job, store)))
          : undefined;
      kept.delete(jobId);
      if (known === undefined) return undefined;
      kept.set(jobId, known);
      for (const oldest of kept.keys()) {
        if (kept.size <= KEPT_MAX) break;
        kept.delete(oldest);
      }
      return known;
    },
  };
}

/** The same job gives the same bytes, today and after a restart. */
async function build(job: Job, store: Store): Promise<TaskIso | undefined> {
  const payload = await store.jobs.payload(job.id);
  if (payload === undefined || payload.envelopeText === null) return undefined;
  return taskIso(job, payload.recipeText, payload.envelopeText);
}

/**
 * @returns undefined when the recipe is not one.
 * @throws {ProvError} `MEDIA_INVALID` when it is too large.
 */
export function taskIso(job: Job, recipeText: string, envelopeText: string): TaskIso | undefined {
  const { recipe } = parseRecipe(recipeText);
  if (recipe === undefined) return undefined;
  const bytes = buildTaskIso({
    jobId: job.id,
    recipeText,
    schemaText: RECIPE_SCHEMA_TEXT,
    envelopeText,
    payloads: recipe,
    epoch: Math.floor(job.createdAt / 1000),
  });
  return { bytes, sha256: createHash("sha256").update(bytes).digest("hex") };
}
