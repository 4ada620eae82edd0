// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Job } from "../../jobs/job.ts";
import type { LoginLimit } from "../auth/login-limit.ts";
import type { ControllerDeps } from "../ports.ts";
import { type ApiContext, addressOf } from "./context.ts";
import { Refusal, rateLimited } from "./errors.ts";

/**
 * The job that the agent's `X-Webhook-Secret` belongs to. It is found by the secret's SHA-256, so how long
 * that takes says nothing about the secret.
 *
 * @throws {Refusal} `unauthorized` without a secret, `forbidden` for one that is no job's.
 */
export async function jobOfToken(
  c: ApiContext,
  limit: LoginLimit,
  deps: ControllerDeps,
): Promise<Job> {
  const address = addressOf(c);
  const token = c.req.header("x-webhook-secret") ?? "";
  if (token === "") throw new Refusal("unauthorized", "X-Webhook-Secret is missing");
  const job = await deps.store.jobs.byToken(token);
  // Not held back by wrong secrets of others: many agents may share the address of a proxy.
  if (job !== undefined) return job;
  const retryAfterMs = limit.blockedFor(address);
  if (retryAfterMs > 0) {
    throw rateLimited("Too many wrong secrets from this address: wait", retryAfterMs);
  }
  limit.failed(address);
  throw wrongSecret();
}

export const wrongSecret = (): Refusal =>
  new Refusal("forbidden", "X-Webhook-Secret does not belong to this job");
