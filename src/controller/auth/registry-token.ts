// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The registry's tokens: what a client gets for its credentials and shows in their place for some minutes. A token
 * says who asked and what for; whether they may is looked up again with each request.
 */
import { decode, sign, verify } from "hono/jwt";
import type { Clock } from "../../base/deps.ts";
import { property, stringAt } from "../../base/json.ts";
import { minutes } from "../../base/units.ts";
import { readScopes, type Scope } from "./scope.ts";

export const TOKEN_LIFETIME = minutes(10);
/** The `service` of challenges, and the audience of tokens. */
export const SERVICE = "prov";

export interface TokenClaims {
  /** `anonymous`, `user:ann`, `robot:ci`. */
  readonly subject: string;
  /** When the subject was last changed: a new password makes older tokens void. */
  readonly version: number;
  readonly scopes: readonly Scope[];
}

export interface RegistryTokens {
  issue(claims: TokenClaims): Promise<string>;
  /** @returns undefined for what is no token of ours. */
  read(token: string): Promise<TokenClaims | "expired" | undefined>;
}

const ALGORITHM = "HS256";
/** The clock is ours alone: others have no say in it. */
const OPTIONS = { alg: ALGORITHM, aud: SERVICE, exp: false, nbf: false, iat: false } as const;

/** @param key for this purpose alone. */
export function createRegistryTokens(
  key: () => Promise<Uint8Array>,
  { now, newId }: { readonly now: Clock; readonly newId: () => string },
): RegistryTokens {
  let secret: Promise<string> | undefined;
  const getSecret = () => {
    secret ??= key().then((bytes) => Buffer.from(bytes).toString("base64url"));
    return secret;
  };
  return {
    async issue({ subject, version, scopes }) {
      const issuedAt = Math.floor(now() / 1000);
      const payload = {
        iss: SERVICE,
        aud: SERVICE,
        sub: subject,
        ver: version,
        iat: issuedAt,
        exp: issuedAt + TOKEN_LIFETIME / 1000,
        jti: newId(),
        access: scopes.map(({ type, name, actions }) => ({ type, name, actions: [...actions] })),
      };
      return await sign(payload, await getSecret(), ALGORITHM);
    },
    async read(token) {
      if (!isOurForm(token)) return undefined;
      let payload: unknown;
      try {
        payload = await verify(token, await getSecret(), OPTIONS);
      } catch {
        return undefined;
      }
      const [subject, scopes] = [stringAt(payload, "sub"), readScopes(property(payload, "access"))];
      const [expires, version] = [property(payload, "exp"), property(payload, "ver")];
      if (subject === undefined || scopes === undefined) return undefined;
      if (typeof expires !== "number" || typeof version !== "number") return undefined;
      return now() < expires * 1000 ? { subject, version, scopes } : "expired";
    },
  };
}

/** Whether it names the one algorithm that we sign with, before anything is computed from it. */
function isOurForm(token: string): boolean {
  if (token.length > 16 * 1024) return false;
  try {
    return decode(token).header.alg === ALGORITHM;
  } catch {
    return false;
  }
}
