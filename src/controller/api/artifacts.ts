// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import { arrayAt, stringAt } from "../../base/json.ts";
import { type RegistryCaller, registryAccess } from "../auth/registry-access.ts";
import type { ControllerConfig } from "../config.ts";
import type { ControllerDeps } from "../ports.ts";
import { type Api, type ApiContext, addressOf, urlOf } from "./context.ts";
import { type ErrorName, Refusal } from "./errors.ts";
import { toTime } from "./job-document.ts";

/**
 * `/api/v1/artifacts`: what is in the registry, for people, as far as they may pull and delete it there.
 * Content goes in and out through `/v2/`.
 */
export function artifactRoutes(config: ControllerConfig, deps: ControllerDeps): Hono<Api> {
  const { registry } = deps;
  return new Hono<Api>()
    .get("/", async (c) => {
      const access = await registryAccess(callerOf(c), config, deps);
      const repositories = await registry.repositories();
      const lists = await Promise.all(
        repositories
          .filter((repository) => access.may("pull", repository))
          .map(async (repository) => {
            const tags = await registry.tags(repository);
            return tags.map(({ tag, digest, mediaType, size, updatedAt }) => ({
              repository,
              tag,
              digest,
              media_type: mediaType,
              size,
              updated_at: toTime(updatedAt),
            }));
          }),
      );
      return c.json({ artifacts: lists.flat() });
    })
    .delete("/:name{.+}", async (c) => {
      const name = c.req.param("name");
      const [, repository = "", reference = ""] = /^(.+?)(?:[:@])(.+)$/.exec(name) ?? [];
      if (reference === "") {
        throw new Refusal("invalid_request", "Name a tag or a digest: repository:tag");
      }
      const request = new Request(
        `http://registry.invalid/v2/${repository}/manifests/${encodeURIComponent(reference)}`,
        { method: "DELETE" },
      );
      const response = await registry.handle(
        request,
        await registryAccess(callerOf(c), config, deps),
      );
      if (!response.ok) throw await notDeleted(name, response);
      return c.body(null, 204);
    });
}

function callerOf(c: ApiContext): RegistryCaller {
  const { origin } = urlOf(c);
  return {
    identity: c.get("identity"),
    address: addressOf(c),
    scopes: null,
    origin,
    path: c.req.path,
  };
}

const REFUSALS: Readonly<Record<number, ErrorName>> = {
  400: "invalid_request",
  403: "forbidden",
  429: "rate_limited",
};

async function notDeleted(name: string, response: Response): Promise<Refusal> {
  if (response.status === 404) return new Refusal("not_found", `There is no artifact "${name}"`);
  const [error] = arrayAt(await response.json(), "errors");
  const why = stringAt(error, "message") ?? `HTTP ${response.status}`;
  const refusal = REFUSALS[response.status] ?? "upstream_error";
  return new Refusal(refusal, `The registry did not delete "${name}": ${why}`);
}
