// SPDX-License-Identifier: AGPL-3.0-or-later

/** What the audit log speaks of. Reading is in it only where it was denied. */
export type AuditAction =
  | "pull"
  | "list"
  | "push"
  | "push-blob"
  | "mount-blob"
  | "delete"
  | "delete-blob"
  /** By the housekeeping. */
  | "collect"
  | "expire"
  | "quarantine"
  | "login"
  | "set-policy"
  | "add-user"
  | "set-password"
  | "remove-user"
  | "add-robot"
  | "rotate-robot"
  | "remove-robot";

/** One thing that was done to the registry, or tried. Never given a secret. */
export interface AuditEvent {
  /** `user:ann`, `robot:ci`, `job:<id>`, `anonymous`, or the part of prov that did it by itself. */
  readonly identity: string;
  /** Where it came from; null for prov itself. */
  readonly address: string | null;
  readonly action: AuditAction;
  readonly outcome: "done" | "denied";
  readonly repository?: string;
  /** A tag or a digest as it was asked for, or the name of a user or robot. */
  readonly reference?: string;
  readonly digest?: string;
  /** Why it was denied, or what else there is to say. */
  readonly reason?: string;
}

/** An event as it was written. */
export interface AuditEntry extends AuditEvent {
  /** RFC 3339, UTC. */
  readonly time: string;
}

export interface AuditQuery {
  readonly limit: number;
  /** The cursor of the page before; undefined begins with the newest. */
  readonly before?: string;
  readonly repository?: string;
  readonly identity?: string;
}

export interface AuditPage {
  /** Newest first. */
  readonly entries: readonly AuditEntry[];
  /** Where older ones are; null when there are none. A page may be short, and even empty, before that. */
  readonly cursor: string | null;
}
