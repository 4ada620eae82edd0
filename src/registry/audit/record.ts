// SPDX-License-Identifier: AGPL-3.0-or-later
import type { OciError } from "../oci-error.ts";
import type { Call } from "../routes/call.ts";
import type { AuditAction, AuditEvent } from "./audit-event.ts";

type Asked = Pick<Call, "access" | "repository" | "last">;

/** What the audit log says of a request that was answered. */
export function doneEvent(asked: Asked, action: AuditAction, response: Response): AuditEvent {
  const digest = response.headers.get("docker-content-digest");
  const tags = response.headers.get("oci-tag");
  const isUpload = action === "push-blob" || action === "mount-blob";
  return {
    ...commonOf(asked, action),
    outcome: "done",
    ...(!isUpload && { reference: tags === null ? asked.last : `${asked.last} ${tags}` }),
    ...(digest !== null && { digest }),
  };
}

/** The same of one that was denied. */
export function deniedEvent(asked: Asked, action: AuditAction, error: OciError): AuditEvent {
  return {
    ...commonOf(asked, action),
    outcome: "denied",
    ...(asked.last !== "" && { reference: asked.last }),
    reason: error.message,
  };
}

function commonOf({ access, repository }: Asked, action: AuditAction) {
  return {
    identity: access.identity,
    address: access.address ?? null,
    action,
    ...(repository !== "" && { repository }),
  };
}
