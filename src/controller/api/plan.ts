// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import { parseReference } from "../../registry/reference.ts";
import { planRecipe } from "../../workflows/plan-recipe.ts";
import type { ArtifactName } from "../../workflows/workflow.ts";
import { resolveArtifact } from "../artifacts.ts";
import type { ControllerConfig } from "../config.ts";
import type { ControllerDeps } from "../ports.ts";
import { DOCUMENT_LIMIT, readObject } from "./body.ts";
import type { Api } from "./context.ts";
import { checkSubmission, parseSubmission } from "./submission.ts";

/**
 * `POST /api/v1/plan`: what a job would do, as the agent's own plans, without a job. The body is that of a
 * job; the machine is assumed, because only the agent can look at it.
 */
export function planRoutes(config: ControllerConfig, deps: ControllerDeps): Hono<Api> {
  return new Hono<Api>().post("/", async (c) => {
    const submission = parseSubmission(await readObject(c.req.raw, DOCUMENT_LIMIT));
    const { recipe, workflow } = await checkSubmission(submission, config, deps);
    const planned = planRecipe({
      workflow,
      recipe,
      job: {
        serverSerial: submission.serverSerial,
        bootMedium: null,
        artifact: await artifactName(recipe.ociUrl, config, deps),
        files: "/run/provision",
      },
      machine: null,
      found: {},
    });
    return c.json({ task_target: recipe.taskTarget, ...planned });
  });
}

async function artifactName(
  ociUrl: string | null,
  config: ControllerConfig,
  deps: ControllerDeps,
): Promise<ArtifactName | null> {
  if (ociUrl === null) return null;
  const { repository, tag } = parseReference(ociUrl);
  const { digest } = await resolveArtifact(ociUrl, config.publicUrls, deps.registry);
  return { name: `${repository}:${tag ?? "latest"}`, digest };
}
