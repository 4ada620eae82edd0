// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import { renderPolicy } from "../../registry/policy/render-policy.ts";
import { describeIdentity } from "../auth/identity.ts";
import type { ControllerDeps } from "../ports.ts";
import { DOCUMENT_LIMIT, readObject } from "./body.ts";
import { type Api, addressOf } from "./context.ts";
import { Refusal } from "./errors.ts";

/** `/api/v1/registry/policy`: operators read it, administrators change it. */
export function registryPolicyRoutes({ registry }: ControllerDeps): Hono<Api> {
  return new Hono<Api>()
    .get("/", (c) => {
      c.header("etag", `"${registry.policyVersion()}"`);
      return c.json(renderPolicy(registry.policy()));
    })
    .put("/", async (c) => {
      const { document } = await readObject(c.req.raw, DOCUMENT_LIMIT);
      const change = await registry.setPolicy(document, expectedVersion(c.req.header("if-match")));
      switch (change.kind) {
        case "invalid":
          throw new Refusal("validation_error", "The policy is invalid", {
            details: change.findings,
          });
        case "outdated":
          throw new Refusal(
            "precondition_failed",
            "The policy has changed meanwhile: read it again",
          );
        case "set":
          await registry.audit({
            identity: describeIdentity(c.get("identity")),
            address: addressOf(c),
            action: "set-policy",
            outcome: "done",
            reference: change.version,
          });
          c.header("etag", `"${change.version}"`);
          return c.json(renderPolicy(registry.policy()));
      }
    });
}

/** RFC 9110, 13.1.1, with one entity tag. @returns null: any. */
function expectedVersion(ifMatch: string | undefined): string | null {
  if (ifMatch === undefined || ifMatch.trim() === "*") return null;
  return ifMatch.trim().replaceAll('"', "");
}
