// SPDX-License-Identifier: AGPL-3.0-or-later
import { createHash } from "node:crypto";
import type { Clock } from "../../base/deps.ts";
import { type Millis, minutes } from "../../base/units.ts";
import type { Store, User } from "../../store/store.ts";
import { type Credentials, parseBasic } from "./basic.ts";
import type { LoginLimit } from "./login-limit.ts";

/** argon2id takes tens of milliseconds by design; clients send their password with every request. */
const REMEMBERED: Millis = minutes(1);
const REMEMBERED_MAX = 1000;

export interface Passwords {
  /** Whether the header needs no new verification: that of another request, or of the last minute, counts. */
  isKnownOrRunning(header: string): boolean;
  userOf(header: string, address: string): Promise<User | undefined>;
  /** Resolves when one of the address's verifications has ended; undefined when there is none. */
  oneEnded(address: string): Promise<unknown> | undefined;
  /** Forgets who was verified. */
  forget(): void;
}

interface Verification {
  readonly address: string;
  readonly user: Promise<User | undefined>;
  /** After a change to users it says how things were before. */
  readonly startedIn: number;
}

export function createPasswords(
  users: Pick<Store["users"], "verify">,
  limit: LoginLimit,
  now: Clock,
): Passwords {
  const verified = new Map<string, { readonly user: User; readonly until: number }>();
  /** Equal requests at the same time share one verification. */
  const running = new Map<string, Verification>();
  let generation = 0;

  async function verify(credentials: Credentials | undefined): Promise<User | undefined> {
    if (credentials === undefined) return undefined;
    return await users.verify(credentials.name, credentials.password);
  }

  /** Counts as a failure until it is none, or a thousand guesses at once would all be the first. */
  function start(key: string, header: string, address: string): Verification {
    const takeBack = limit.failed(address);
    const user = verify(parseBasic(header))
      .then((found) => {
        if (found !== undefined) takeBack();
        return found;
      })
      .finally(() => running.delete(key));
    const verification = { address, user, startedIn: generation };
    running.set(key, verification);
    return verification;
  }

  async function userOf(header: string, address: string): Promise<User | undefined> {
    const key = keyOf(header);
    const known = verified.get(key);
    if (known !== undefined && known.until > now()) return known.user;
    const verification = running.get(key) ?? start(key, header, address);
    const user = await verification.user;
    if (user === undefined) return undefined;
    if (verification.startedIn !== generation) return await userOf(header, address);
    if (verified.size >= REMEMBERED_MAX) verified.clear();
    verified.set(key, { user, until: now() + REMEMBERED });
    return user;
  }

  return {
    isKnownOrRunning(header) {
      const key = keyOf(header);
      const known = verified.get(key);
      return running.has(key) || (known !== undefined && known.until > now());
    },
    userOf,
    oneEnded(address) {
      const own = [...running.values()].filter((each) => each.address === address);
      if (own.length === 0) return undefined;
      return Promise.race(own.map(({ user }) => user.catch(() => undefined)));
    },
    forget() {
      generation++;
      verified.clear();
    },
  };
}

const keyOf = (header: string): string => createHash("sha256").update(header).digest("base64url");
