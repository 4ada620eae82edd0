// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import type { ControllerDeps } from "../ports.ts";
import type { Api } from "./context.ts";
import { Refusal } from "./errors.ts";
import { toTime } from "./job-document.ts";

/** `/api/v1/artifacts`: what is in the registry, for people. Content goes in and out through `/v2/`. */
export function artifactRoutes({ registry }: ControllerDeps): Hono<Api> {
  return new Hono<Api>()
    .get("/", async (c) => {
      const repositories = await registry.repositories();
      const lists = await Promise.all(
        repositories.map(async (repository) => {
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
        `http://registry.invalid/v2/${repository}/manifests/${reference}`,
        { method: "DELETE" },
      );
      const response = await registry.handle(request, { identity: "controller", may: () => true });
      if (response.status === 404) {
        throw new Refusal("not_found", `There is no artifact "${name}"`);
      }
      if (!response.ok)
        throw new Refusal("upstream_error", `The registry did not delete "${name}"`);
      return c.body(null, 204);
    });
}
