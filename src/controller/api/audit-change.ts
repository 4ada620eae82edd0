// SPDX-License-Identifier: AGPL-3.0-or-later
import type { AuditAction } from "../../registry/audit/audit-event.ts";
import { describeIdentity } from "../auth/identity.ts";
import type { ControllerDeps } from "../ports.ts";
import { type ApiContext, addressOf } from "./context.ts";

/** Writes to the audit log what an administrator has changed. */
export function auditChange(
  c: ApiContext,
  { registry }: ControllerDeps,
  action: AuditAction,
  reference: string,
): Promise<void> {
  return registry.audit({
    identity: describeIdentity(c.get("identity")),
    address: addressOf(c),
    action,
    outcome: "done",
    reference,
  });
}
