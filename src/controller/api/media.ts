// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import { serveMedia } from "../../media/serve.ts";
import { verifyMediaUrl } from "../../media/signed-url.ts";
import type { MediaKind, MediaToken } from "../../store/store.ts";
import type { ControllerConfig } from "../config.ts";
import { findToken, sourceOf } from "../media/medium.ts";
import type { TaskIsos } from "../media/task-iso.ts";
import type { Metrics } from "../metrics.ts";
import type { ControllerDeps } from "../ports.ts";
import type { Api } from "./context.ts";
import { Refusal } from "./errors.ts";

export interface MediaRouteParts {
  readonly config: ControllerConfig;
  readonly taskIsos: TaskIsos;
  readonly metrics: Metrics;
  readonly deps: ControllerDeps;
}

const WHAT: Readonly<Record<MediaKind, string>> = {
  boot: "boot medium",
  task: "task medium",
  combined: "boot medium, with the task in it,",
};

const notThere = (): Refusal => new Refusal("not_found", "There is no such medium");

/** `/m/{token}/{kind}.iso`: what BMCs read. Whoever has the token may read; nobody else learns that it exists. */
export function tokenMediaRoutes({ config, taskIsos, metrics, deps }: MediaRouteParts): Hono<Api> {
  /** First reads that were noted: a BMC opens several connections at once. */
  const noted = new Set<string>();
  return new Hono<Api>().get("/:token/:name", async (c) => {
    const { token: text, name } = c.req.param();
    const token = await findToken(text, name, deps.store, deps.now());
    const source = token && (await sourceOf(token, config, taskIsos));
    if (token === undefined || source === undefined) throw notThere();
    let hasContent = false;
    const response = serveMedia(c.req.raw, source, () => {
      hasContent = true;
    });
    metrics.count("media_requests_total", { kind: token.kind, code: `${response.status}` });
    if (hasContent) {
      await deps.store.media.countGet(token.token, deps.now());
      await noteFirstRead(token, noted, deps);
    }
    return response;
  });
}

async function noteFirstRead(
  token: MediaToken,
  noted: Set<string>,
  deps: ControllerDeps,
): Promise<void> {
  if (token.gets > 0 || noted.has(token.token)) return;
  noted.add(token.token);
  const message = `The ${WHAT[token.kind]} is being read`;
  await deps.store.jobs.note(token.jobId, [{ level: "info", message, step: null }], deps.now());
}

/** `/media/tasks/{job_id}/task.iso?expires=&sig=`: what people and tools read. */
export function signedMediaRoutes({ config, deps, taskIsos }: MediaRouteParts): Hono<Api> {
  return new Hono<Api>().get("/tasks/:id/task.iso", async (c) => {
    const jobId = c.req.param("id");
    const secrets = config.mediaSigningSecrets;
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
