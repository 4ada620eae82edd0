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

export function createPasswords(
  users: Pick<Store["users"], "verify">,
  limit: LoginLimit,
  now: Clock,
): Passwords {
  const verified = new Map<string, { readonly user: User; readonly until: number }>();
  /** Equal requests at the same time share one verification. */
  const running = new Map<
    string,
    { readonly address: string; readonly verification: Promise<User | undefined> }
  >();
  let generation = 0;

  async function verify(credentials: Credentials | undefined): Promise<User | undefined> {
    if (credentials === undefined) return undefined;
    return await users.verify(credentials.name, credentials.password);
  }

  /** Counts as a failure until it is none, or a thousand guesses at once would all be the first. */
  function start(key: string, header: string, address: string): Promise<User | undefined> {
    const takeBack = limit.failed(address);
    const verification = verify(parseBasic(header))
      .then((user) => {
        if (user !== undefined) takeBack();
        return user;
      })
      .finally(() => running.delete(key));
    running.set(key, { address, verification });
    return verification;
  }

  return {
    isKnownOrRunning(header) {
      const key = keyOf(header);
      const known = verified.get(key);
      return running.has(key) || (known !== undefined && known.until > now());
    },
    async userOf(header, address) {
      const key = keyOf(header);
      const known = verified.get(key);
      if (known !== undefined && known.until > now()) return known.user;
      const startedIn = generation;
      const verification = running.get(key)?.verification ?? start(key, header, address);
      const user = await verification;
      if (user !== undefined && startedIn === generation) {
        if (verified.size >= REMEMBERED_MAX) verified.clear();
        verified.set(key, { user, until: now() + REMEMBERED });
      }
      return user;
    },
    oneEnded(address) {
      const own = [...running.values()].filter((each) => each.address === address);
      if (own.length === 0) return undefined;
      return Promise.race(own.map(({ verification }) => verification.catch(() => undefined)));
    },
    forget() {
      generation++;
      verified.clear();
    },
  };
}

const keyOf = (header: string): string => createHash("sha256").update(header).digest("base64url");
