// SPDX-License-Identifier: AGPL-3.0-or-later
import { minutes } from "../../base/units.ts";
import type { Job } from "../../jobs/job.ts";
import { signMediaUrl } from "../../media/signed-url.ts";
import type { ControllerConfig } from "../config.ts";
import type { TaskIsos } from "../media/task-iso.ts";
import type { ControllerDeps } from "../ports.ts";
import { Refusal } from "./errors.ts";
import { toTime } from "./job-document.ts";

const TTL = minutes(30);

/** Answers with a signed URL of a job's task ISO, for people and tools; BMCs get token URLs. */
export async function taskIsoUrl(
  job: Job,
  config: ControllerConfig,
  taskIsos: TaskIsos,
  deps: ControllerDeps,
): Promise<Response> {
  const secret = config.mediaSigningSecrets[0];
  if (secret === undefined) {
    throw new Refusal("unavailable", "Signed media URLs are off: no signing secret is configured");
  }
  const iso = await taskIsos.get(job.id);
  if (iso === undefined)
    throw new Refusal(
      "not_found",
      `Job ${job.id} has no task ISO: it is not ready yet, or the job is over`,
    );
  const expires = Math.floor((deps.now() + TTL) / 1000);
  const path = signMediaUrl({ jobId: job.id, expires, sha256: iso.sha256 }, secret);
  return Response.json({
    url: `${config.publicUrls[0] ?? ""}${path}`,
    expires_at: toTime(expires * 1000),
  });
}
