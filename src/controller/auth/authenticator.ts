// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Clock } from "../../base/deps.ts";
import { type Millis, minutes } from "../../base/units.ts";
import type { Store } from "../../store/store.ts";
import { parseBasic } from "./basic.ts";
import { bearerIdentity, type Known, robotIdentity } from "./bearer.ts";
import { ANONYMOUS } from "./identity.ts";
import { createLoginLimit } from "./login-limit.ts";
import { createPasswords } from "./passwords.ts";
import type { RegistryTokens } from "./registry-token.ts";

export type Authentication =
  | Known
  /** Credentials came and were wrong. `name` is whose they were said to be, if there is such an account. */
  | { readonly kind: "refused"; readonly name: string | null }
  /** They were right for some time. */
  | { readonly kind: "expired" }
  | { readonly kind: "blocked"; readonly retryAfterMs: number };

export interface Authenticator {
  /** @param address where the request comes from. */
  authenticate(authorization: string | null, address: string): Promise<Authentication>;
  /** Forgets who was verified: after a change to users. */
  forget(): void;
}

/** A robot's last use is not written with each request. */
const USE_NOTED_EVERY: Millis = minutes(5);
const ROBOT = "robot+";

export function createAuthenticator(
  store: Store,
  tokens: RegistryTokens,
  now: Clock,
): Authenticator {
  const limit = createLoginLimit(now);
  const passwords = createPasswords(store.users, limit, now);
  const noteUse = createUseNotes(store, now);

  /** Secrets of 256 bits, which nobody guesses: they are not held back by what others tried. */
  async function byToken(header: string): Promise<Authentication | undefined> {
    const found = /^bearer /i.test(header)
      ? await bearerIdentity(header.slice(7).trim(), { store, tokens, now: now() })
      : await robotOf(header, store, now());
    return found === "expired" ? { kind: "expired" } : found;
  }

  async function byPassword(header: string, address: string): Promise<Authentication> {
    for (;;) {
      const retryAfterMs = passwords.isKnownOrRunning(header) ? 0 : limit.blockedFor(address);
      if (retryAfterMs === 0) return await tryPassword(header, address);
      // Others who are being verified count as wrong until they are right, and many may share an address.
      const oneEnded = passwords.oneEnded(address);
      if (oneEnded === undefined) return { kind: "blocked", retryAfterMs };
      await oneEnded;
    }
  }

  /** Counts before it waits for anything. */
  async function tryPassword(header: string, address: string): Promise<Authentication> {
    if (isForToken(header)) limit.failed(address);
    const user = isForToken(header) ? undefined : await passwords.userOf(header, address);
    if (user === undefined) return { kind: "refused", name: await knownName(header, store) };
    const identity = { kind: "user", name: user.name, role: user.role } as const;
    return { kind: "known", identity, scopes: null };
  }

  return {
    async authenticate(authorization, address) {
      if (authorization === null) return { kind: "known", identity: ANONYMOUS, scopes: null };
      const result = (await byToken(authorization)) ?? (await byPassword(authorization, address));
      if (result.kind === "known" && result.identity.kind === "robot") {
        await noteUse(result.identity.name);
      }
      return result;
    },
    forget: passwords.forget,
  };
}

function createUseNotes(store: Store, now: Clock): (robot: string) => Promise<void> {
  const noted = new Map<string, number>();
  return async (robot) => {
    const before = noted.get(robot);
    if (before !== undefined && now() - before < USE_NOTED_EVERY) return;
    noted.set(robot, now());
    await store.robots.noteUse(robot, now());
  };
}

/** What is no user's name and password needs no verification to be wrong. */
function isForToken(header: string): boolean {
  return /^bearer /i.test(header) || parseBasic(header)?.name.startsWith(ROBOT) === true;
}

/** Its secret has 256 bits: it is looked up, where a password has to be tried. */
async function robotOf(
  header: string,
  store: Store,
  now: number,
): Promise<Known | "expired" | undefined> {
  const { name = "", password = "" } = parseBasic(header) ?? {};
  if (!name.startsWith(ROBOT)) return undefined;
  const robot = await store.robots.byToken(password);
  if (robot === undefined || `${ROBOT}${robot.name}` !== name) return undefined;
  const identity = robotIdentity(robot, now);
  return identity === undefined ? "expired" : { kind: "known", identity, scopes: null };
}

/** For the audit log. A name that nobody has may be a password in the wrong field: it goes nowhere. */
async function knownName(header: string, store: Store): Promise<string | null> {
  const name = parseBasic(header)?.name ?? "";
  if (name.startsWith(ROBOT)) {
    const robot = await store.robots.get(name.slice(ROBOT.length));
    return robot === undefined ? null : `robot:${robot.name}`;
  }
  const user = await store.users.get(name);
  return user === undefined ? null : `user:${user.name}`;
}
