// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import { serveMedia } from "../../media/serve.ts";
import { verifyMediaUrl } from "../../media/signed-url.ts";
import type { ControllerConfig } from "../config.ts";
import type { MediaLibrary } from "../media/library.ts";
import type { TaskIsos } from "../media/task-iso.ts";
import type { ControllerDeps } from "../ports.ts";
import type { Api } from "./context.ts";
import { Refusal } from "./errors.ts";

const notThere = (): Refusal => new Refusal("not_found", "There is no such medium");

/** `/m/{token}/{name}.iso`: what BMCs read. */
export function tokenMediaRoutes(library: MediaLibrary): Hono<Api> {
  return new Hono<Api>().get("/:token/:name", async (c) => {
    const medium = await library.find(c.req.path);
    if (medium === undefined) throw notThere();
    return serveMedia(c.req.raw, medium.source, medium.onContent);
  });
}

/** `/media/tasks/{job_id}/task.iso?expires=&sig=`: what people and tools read. */
export function signedMediaRoutes(
  { mediaSigningSecrets: secrets }: ControllerConfig,
  taskIsos: TaskIsos,
  deps: ControllerDeps,
): Hono<Api> {
  return new Hono<Api>().get("/tasks/:id/task.iso", async (c) => {
    const jobId = c.req.param("id");
    const iso = secrets.length === 0 ? undefined : await taskIsos.get(jobId);
    if (iso === undefined) throw notThere();
    const query = new URLSearchParams(c.req.query());
    const verdict = verifyMediaUrl({ jobId, sha256: iso.sha256 }, query, secrets, deps.now());
    if (!verdict.ok) {
      const why = verdict.reason === "expired" ? "has expired" : "is not signed as it should be";
      throw new Refusal("forbidden", `This URL ${why}`);
    }
    return serveMedia(c.req.raw, { kind: "bytes", bytes: iso.bytes });
  });
}
