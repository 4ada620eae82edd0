// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * From a request for a job to a row in the store: everything that can be known to be wrong beforehand is
 * refused here, before a server is touched.
 */
import { createHash } from "node:crypto";
import { type ErrorCode, hintOf, ProvError } from "../../base/errors.ts";
import type { Finding } from "../../base/findings.ts";
import { stringAt } from "../../base/json.ts";
import type { Recipe } from "../../recipe/recipe.ts";
import type { CreatedJob } from "../../store/store.ts";
import type { Workflow } from "../../workflows/workflow.ts";
import { resolveArtifact } from "../artifacts.ts";
import type { ControllerConfig } from "../config.ts";
import type { ControllerDeps } from "../ports.ts";
import { readRecipe } from "../recipes.ts";
import { requireSigned } from "../signatures.ts";
import type { JsonBody } from "./body.ts";
import { invalidField, Refusal } from "./errors.ts";
import { rawMember } from "./raw-member.ts";

export interface Submission {
  readonly serverSerial: string;
  readonly recipeText: string;
}

/** Reads `{server_serial, recipe}`. @throws {Refusal} `validation_error`, `invalid_request` */
export function parseSubmission(body: JsonBody): Submission {
  const serverSerial = stringAt(body.document, "server_serial");
  if (serverSerial === undefined || serverSerial === "") {
    throw invalidField("/server_serial", "required", "must be the serial of a known server");
  }
  for (const key of Object.keys(body.document)) {
    if (key === "server_serial" || key === "recipe") continue;
    throw invalidField(`/${key}`, "additionalProperties", "is not a field of this request");
  }
  const recipeText = rawMember(body.text, "recipe");
  if (recipeText === undefined) throw invalidField("/recipe", "required", "must be a recipe");
  return { serverSerial, recipeText };
}

/** @throws {Refusal} `not_found` for an unknown server, `validation_error` for the recipe. */
export async function checkSubmission(
  submission: Submission,
  config: ControllerConfig,
  deps: ControllerDeps,
): Promise<{ readonly recipe: Recipe; readonly workflow: Workflow }> {
  if ((await deps.store.servers.get(submission.serverSerial)) === undefined) {
    throw new Refusal("not_found", `There is no server "${submission.serverSerial}"`);
  }
  const read = readRecipe(submission.recipeText);
  if (read.kind === "invalid") throw invalidRecipe(read.findings);
  const { recipe, workflow } = read;
  if (workflow.bootIso === "maintenance" && config.maintenanceIso === null) {
    throw new Refusal("unavailable", "This controller has no maintenance ISO: set its path first");
  }
  if (recipe.ociUrl !== null) await checkArtifact(recipe.ociUrl, config, deps);
  return { recipe, workflow };
}

async function checkArtifact(
  ociUrl: string,
  config: ControllerConfig,
  deps: ControllerDeps,
): Promise<void> {
  try {
    const artifact = await resolveArtifact(ociUrl, config.publicUrls, deps.registry);
    await requireSigned(artifact, deps.registry);
  } catch (error) {
    // An upstream that does not answer says nothing about the recipe.
    if (!(error instanceof ProvError) || error.retryable) throw error;
    const code = FINDINGS[error.code] ?? "reference";
    const hint = error.code === "ARTIFACT_UNSIGNED" ? `. ${hintOf(error)}` : "";
    throw invalidRecipe([{ path: "/oci_url", code, message: `${error.message}${hint}` }]);
  }
}

const FINDINGS: { readonly [Code in ErrorCode]?: string } = {
  ARTIFACT_NOT_FOUND: "not_found",
  ARTIFACT_UNSIGNED: "unsigned",
};

function invalidRecipe(findings: readonly Finding[]): Refusal {
  return new Refusal("validation_error", "The recipe is invalid", { details: findings });
}

/** Stores a checked submission as a queued job. */
export function createJob(
  submission: Submission,
  taskTarget: string,
  idempotency: { readonly key: string; readonly bodyHash: string } | null,
  deps: ControllerDeps,
): Promise<CreatedJob> {
  return deps.store.jobs.create(
    {
      id: deps.newId(),
      serverSerial: submission.serverSerial,
      taskTarget,
      recipeText: submission.recipeText,
      token: deps.newSecret(),
      idempotency,
    },
    deps.now(),
  );
}

export const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
