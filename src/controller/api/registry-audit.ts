// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import type { AuditPage, AuditQuery } from "../../registry/audit/audit-event.ts";
import type { ControllerDeps } from "../ports.ts";
import type { Api } from "./context.ts";
import { invalidField } from "./errors.ts";

const LIMIT = { default: 100, max: 1000 };

/** `/api/v1/registry/audit`, for administrators: who did what, newest first. */
export function registryAuditRoutes({ registry }: ControllerDeps): Hono<Api> {
  return new Hono<Api>().get("/", async (c) => {
    const { repository, identity, before, limit } = c.req.query();
    const query: AuditQuery = {
      limit: parseLimit(limit),
      ...(before && { before }),
      ...(repository && { repository }),
      ...(identity && { identity }),
    };
    let page: AuditPage;
    try {
      page = await registry.auditPage(query);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw invalidField("/before", "format", error.message);
    }
    return c.json({ events: page.entries, cursor: page.cursor });
  });
}

function parseLimit(text: string | undefined): number {
  if (text === undefined) return LIMIT.default;
  if (/^[1-9]\d{0,3}$/.test(text) && Number(text) <= LIMIT.max) return Number(text);
  throw invalidField("/limit", "range", `must be a whole number from 1 to ${LIMIT.max}`);
}
