// SPDX-License-Identifier: AGPL-3.0-or-later
import { isActive } from "../../jobs/lifecycle.ts";
import type { Robot, Store } from "../../store/store.ts";
import { ANONYMOUS, type Identity } from "./identity.ts";
import type { RegistryTokens, TokenClaims } from "./registry-token.ts";
import type { Scope } from "./scope.ts";

export interface Known {
  readonly kind: "known";
  readonly identity: Identity;
  /** What the registry's token was asked for; null where the credentials themselves were shown. */
  readonly scopes: readonly Scope[] | null;
}

/** What a bearer token stands for now. @returns undefined for nothing that we know. */
export async function bearerIdentity(
  token: string,
  { store, tokens, now }: { store: Store; tokens: RegistryTokens; now: number },
): Promise<Known | "expired" | undefined> {
  if (token === "") return undefined;
  const job = await store.jobs.byToken(token);
  if (job !== undefined) {
    if (!isActive(job.status)) return "expired";
    return { kind: "known", identity: { kind: "job", job }, scopes: null };
  }
  const robot = await store.robots.byToken(token);
  if (robot !== undefined) {
    const identity = robotIdentity(robot, now);
    return identity === undefined ? "expired" : { kind: "known", identity, scopes: null };
  }
  const claims = await tokens.read(token);
  if (claims === undefined || claims === "expired") return claims;
  const identity = await subjectOf(claims, store, now);
  // It was a good token until somebody was removed or changed their password.
  return identity === undefined ? "expired" : { kind: "known", identity, scopes: claims.scopes };
}

/** @returns undefined when its time is over. */
export function robotIdentity(robot: Robot, now: number): Identity | undefined {
  const { name, grants, expiresAt } = robot;
  return expiresAt !== null && expiresAt <= now ? undefined : { kind: "robot", name, grants };
}

/** Who the token was given to, as they are today. */
async function subjectOf(
  { subject, version }: TokenClaims,
  store: Store,
  now: number,
): Promise<Identity | undefined> {
  if (subject === "anonymous") return ANONYMOUS;
  const [kind, name = ""] = subject.split(":", 2);
  if (kind === "user") {
    const user = await store.users.get(name);
    if (user?.changedAt !== version) return undefined;
    return { kind: "user", name: user.name, role: user.role };
  }
  const robot = await store.robots.get(name);
  return robot?.changedAt === version ? robotIdentity(robot, now) : undefined;
}
