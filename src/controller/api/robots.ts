// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import type { Finding } from "../../base/findings.ts";
import { stringAt } from "../../base/json.ts";
import type { AuditAction } from "../../registry/audit/audit-event.ts";
import { parseGrants } from "../../registry/policy/parse-grants.ts";
import type { Robot } from "../../store/store.ts";
import type { ControllerDeps } from "../ports.ts";
import { auditChange } from "./audit-change.ts";
import { DOCUMENT_LIMIT, readObject } from "./body.ts";
import type { Api, ApiContext } from "./context.ts";
import { invalidField, Refusal } from "./errors.ts";
import { toTime } from "./job-document.ts";

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** `/api/v1/robots`, for administrators: accounts of programs that use the registry. */
export function robotRoutes(deps: ControllerDeps): Hono<Api> {
  const { robots } = deps.store;
  const log = (c: ApiContext, action: AuditAction, reference: string) =>
    auditChange(c, deps, action, reference);
  return new Hono<Api>()
    .get("/", async (c) => c.json({ robots: (await robots.list()).map(toRobotDocument) }))
    .post("/", async (c) => {
      const { document } = await readObject(c.req.raw, DOCUMENT_LIMIT);
      const name = stringAt(document, "name") ?? "";
      if (!NAME.test(name))
        throw invalidField("/name", "format", "must be a plain name, in lower case");
      const { grants, findings } = parseGrants(document.grants);
      if (grants === undefined) throw invalid(findings);
      const expiresAt = parseExpiry(document.expires_at, deps.now());
      const token = deps.newSecret();
      await robots.add({ name, grants, expiresAt }, token, deps.now());
      await log(c, "add-robot", name);
      return c.json({ name, user: `robot+${name}`, token }, 201);
    })
    .post("/:name/rotate", async (c) => {
      const name = c.req.param("name");
      const token = deps.newSecret();
      if (!(await robots.setToken(name, token, deps.now()))) throw unknown(name);
      await log(c, "rotate-robot", name);
      return c.json({ name, user: `robot+${name}`, token });
    })
    .delete("/:name", async (c) => {
      const name = c.req.param("name");
      if (!(await robots.remove(name))) throw unknown(name);
      await log(c, "remove-robot", name);
      return c.body(null, 204);
    });
}

function toRobotDocument({ name, grants, createdAt, expiresAt, lastUsedAt }: Robot) {
  return {
    name,
    grants,
    created_at: toTime(createdAt),
    expires_at: expiresAt === null ? null : toTime(expiresAt),
    last_used_at: lastUsedAt === null ? null : toTime(lastUsedAt),
  };
}

function parseExpiry(value: unknown, now: number): number | null {
  if (value === undefined || value === null) return null;
  const time = typeof value === "string" ? Date.parse(value) : Number.NaN;
  if (time > now) return time;
  throw invalidField(
    "/expires_at",
    "format",
    "must be a time to come, such as 2027-01-31T00:00:00Z",
  );
}

function invalid(details: readonly Finding[]): Refusal {
  return new Refusal("validation_error", "The robot's grants are invalid", { details });
}

const unknown = (name: string): Refusal => new Refusal("not_found", `There is no robot "${name}"`);
