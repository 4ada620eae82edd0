// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Who signed an artifact. A signature counts when a key that is asked for made it over exactly the
 * digest in question; tags, names and times play no part. Everything is decided from what lies in the
 * registry and the keys: no certificate authority and no transparency log is asked.
 */
import { algorithmOf, type Digest, digestOf } from "../digest.ts";
import { judge } from "./claim.ts";
import { findSignatures } from "./find.ts";
import { type PublicKey, parsePublicKey } from "./public-key.ts";
import type { SignatureReader } from "./reader.ts";

export interface Verdict {
  /** Names of the keys that signed it, sorted. Empty: it is not signed. */
  readonly signedBy: readonly string[];
  /** Every signature that does not count. */
  readonly rejected: readonly Rejected[];
}

export interface Rejected {
  /** The manifest that holds it. */
  readonly digest: Digest;
  /** A clause: `it is about another artifact, sha256:…`. */
  readonly why: string;
}

/**
 * @param keys public keys in PEM by name.
 * @throws {SyntaxError} for a key that cannot be read.
 * @throws whatever the reader throws when the registry does not answer.
 */
export async function verifyArtifact(
  { digest, keys }: { readonly digest: Digest; readonly keys: Readonly<Record<string, string>> },
  reader: SignatureReader,
): Promise<Verdict> {
  const parsed = parseKeys(keys);
  const artifact = await reader.manifest(digest);
  if (artifact === undefined || digestOf(artifact, algorithmOf(digest)) !== digest) {
    return { signedBy: [], rejected: [{ digest, why: "its manifest is not there, or damaged" }] };
  }
  const signedBy = new Set<string>();
  const rejected: Rejected[] = [];
  for await (const { digest: at, claim } of findSignatures(digest, artifact, reader)) {
    const judged = typeof claim === "string" ? claim : judge(claim, digest, parsed);
    if (typeof judged === "string") rejected.push({ digest: at, why: onOneLine(judged) });
    else for (const name of judged) signedBy.add(name);
  }
  return { signedBy: [...signedBy].sort(), rejected };
}

/** It quotes what somebody has pushed, which is not to make lines of its own in a message or a job's events. */
const onOneLine = (text: string): string => text.replaceAll(/\p{Cc}/gu, "\u{fffd}");

function parseKeys(keys: Readonly<Record<string, string>>): ReadonlyMap<string, PublicKey> {
  return new Map(
    Object.entries(keys).map(([name, pem]) => {
      try {
        return [name, parsePublicKey(pem)];
      } catch (cause) {
        if (!(cause instanceof SyntaxError)) throw cause;
        throw new SyntaxError(`the key ${name}: ${cause.message}`, { cause });
      }
    }),
  );
}

const MOST_REASONS = 5;

/** Why nothing of it counts, as a clause: for a message that begins with what it was for. */
export function describeRejected(rejected: readonly Rejected[]): string {
  if (rejected.length === 0) return "it has no signatures";
  const shown = rejected.slice(0, MOST_REASONS).map(({ digest, why }) => `${digest}: ${why}`);
  const more = rejected.length - shown.length;
  return `${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}
