// SPDX-License-Identifier: AGPL-3.0-or-later
import { createHash } from "node:crypto";
import type { Clock } from "../../base/deps.ts";
import { type Millis, minutes } from "../../base/units.ts";
import { isActive } from "../../jobs/lifecycle.ts";
import type { Store, User } from "../../store/store.ts";
import { ANONYMOUS, type Identity } from "./identity.ts";
import { createLoginLimit } from "./login-limit.ts";

type Authentication =
  | { readonly kind: "known"; readonly identity: Identity }
  /** Credentials came and were wrong. */
  | { readonly kind: "refused" }
  | { readonly kind: "blocked"; readonly retryAfterMs: number };

export interface Authenticator {
  /** @param address where the request comes from. */
  authenticate(authorization: string | null, address: string): Promise<Authentication>;
  /** Forgets who was verified: after a change to users. */
  forget(): void;
}

/** argon2id takes tens of milliseconds by design; clients send their password with every request. */
const REMEMBERED: Millis = minutes(1);
const REMEMBERED_MAX = 1000;

export function createAuthenticator(store: Store, now: Clock): Authenticator {
  const limit = createLoginLimit(now);
  const verified = new Map<string, { readonly user: User; readonly until: number }>();
  /** Equal requests at the same time share one verification. */
  const running = new Map<string, Promise<User | undefined>>();
  let generation = 0;

  async function verify(header: string): Promise<User | undefined> {
    const credentials = parseBasic(header);
    if (credentials === undefined) return undefined;
    return await store.users.verify(credentials.name, credentials.password);
  }

  async function userOf(key: string, header: string, address: string): Promise<User | undefined> {
    const known = verified.get(key);
    if (known !== undefined && known.until > now()) return known.user;
    const startedIn = generation;
    const verification = running.get(key) ?? start(key, header, address);
    const user = await verification;
    if (user !== undefined && startedIn === generation) {
      if (verified.size >= REMEMBERED_MAX) verified.clear();
      verified.set(key, { user, until: now() + REMEMBERED });
    }
    return user;
  }

  /** Counts as a failure until it is none, or a thousand guesses at once would all be the first. */
  function start(key: string, header: string, address: string): Promise<User | undefined> {
    const takeBack = limit.failed(address);
    const verification = verify(header)
      .then((user) => {
        if (user !== undefined) takeBack();
        return user;
      })
      .finally(() => running.delete(key));
    running.set(key, verification);
    return verification;
  }

  function isKnownOrRunning(key: string): boolean {
    const known = verified.get(key);
    return running.has(key) || (known !== undefined && known.until > now());
  }

  return {
    async authenticate(authorization, address) {
      if (authorization === null) return { kind: "known", identity: ANONYMOUS };
      const isBearer = /^bearer /i.test(authorization);
      if (isBearer) {
        // Nobody guesses 256 bits: a right token is not held back by what others tried from its address.
        const identity = await jobIdentity(authorization.slice(7).trim(), store);
        if (identity !== undefined) return { kind: "known", identity };
      }
      const key = createHash("sha256").update(authorization).digest("base64url");
      const retryAfterMs = isKnownOrRunning(key) ? 0 : limit.blockedFor(address);
      if (retryAfterMs > 0) return { kind: "blocked", retryAfterMs };
      if (isBearer) {
        limit.failed(address);
        return { kind: "refused" };
      }
      const user = await userOf(key, authorization, address);
      if (user === undefined) return { kind: "refused" };
      return { kind: "known", identity: { kind: "user", name: user.name, role: user.role } };
    },
    forget() {
      generation++;
      verified.clear();
    },
  };
}

async function jobIdentity(token: string, store: Store): Promise<Identity | undefined> {
  if (token === "") return undefined;
  const job = await store.jobs.byToken(token);
  return job !== undefined && isActive(job.status) ? { kind: "job", job } : undefined;
}

/** RFC 7617. An empty name or password is nobody's. */
function parseBasic(header: string): { name: string; password: string } | undefined {
  const encoded = /^basic +([A-Za-z0-9+/_=-]+) *$/i.exec(header)?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  const name = text.slice(0, colon);
  const password = text.slice(colon + 1);
  return colon > 0 && password !== "" ? { name, password } : undefined;
}
