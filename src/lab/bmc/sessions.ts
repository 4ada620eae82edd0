// SPDX-License-Identifier: AGPL-3.0-or-later
import { randomBytes } from "node:crypto";
import type { Clock } from "../../base/deps.ts";
import { Refusal } from "./refusal.ts";

interface Session {
  readonly id: string;
  readonly token: string;
  readonly username: string;
  /** Unix epoch, ms; moved on by each use. */
  lastUsed: number;
}

export interface Sessions {
  /** @throws {Refusal} 503 when all are taken. */
  open(username: string): Session;
  /** Whether the token's session lives; its idle time starts again. */
  use(token: string): boolean;
  close(id: string): boolean;
  list(): readonly Session[];
}

/** What iDRACs allow; clients that leak sessions lock themselves out. */
const MAX_SESSIONS = 8;

export function createSessions(now: Clock, idleMs: number): Sessions {
  const sessions = new Map<string, Session>();
  let lastId = 0;

  function list(): Session[] {
    for (const session of sessions.values()) {
      if (now() - session.lastUsed > idleMs) sessions.delete(session.id);
    }
    return [...sessions.values()];
  }

  return {
    list,
    open: (username) => {
      if (list().length >= MAX_SESSIONS) {
        const message =
          "The session establishment failed due to the number of simultaneous sessions exceeding the limit of the implementation.";
        throw new Refusal(503, "Base.1.12.SessionLimitExceeded", message);
      }
      const id = String(++lastId);
      const token = randomBytes(16).toString("hex");
      const session = { id, token, username, lastUsed: now() };
      sessions.set(id, session);
      return session;
    },
    use: (token) => {
      const session = list().find((s) => s.token === token);
      if (session !== undefined) session.lastUsed = now();
      return session !== undefined;
    },
    close: (id) => sessions.delete(id),
  };
}
