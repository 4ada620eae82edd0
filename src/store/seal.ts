// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Encryption of secrets at rest: AES-256-GCM (NIST SP 800-38D) under one key that lives outside of the
 * database. A box is `version (1) | nonce (12) | ciphertext | tag (16)`.
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync } from "node:crypto";

/** Returns that many bytes that nobody can guess. */
export type Random = (bytes: number) => Uint8Array;

export const KEY_BYTES = 32;
const ALGORITHM = "aes-256-gcm";
const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export class Sealer {
  readonly #key: Uint8Array;
  readonly #random: Random;

  constructor(key: Uint8Array, random: Random) {
    if (key.length !== KEY_BYTES) throw new RangeError(`A key has ${KEY_BYTES} bytes`);
    this.#key = key;
    this.#random = random;
  }

  /**
   * @param place what the text is and whose, `jobs.token/<id>`: a box that was moved to another place
   *   in the database does not open there.
   */
  seal(place: string, text: string): Uint8Array {
    const nonce = this.#random(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(place));
    const sealed = [cipher.update(text, "utf8"), cipher.final()];
    return new Uint8Array(
      Buffer.concat([Uint8Array.of(VERSION), nonce, ...sealed, cipher.getAuthTag()]),
    );
  }

  /** A key for one purpose alone (HKDF, RFC 5869): who learns it learns neither this key nor another. */
  derive(purpose: string): Uint8Array {
    return new Uint8Array(hkdfSync("sha256", this.#key, "", `prov ${purpose}`, KEY_BYTES));
  }

  /** @throws {TypeError} for a box of another key or place, or one that was changed. */
  unseal(place: string, box: Uint8Array): string {
    if (box[0] !== VERSION || box.length < 1 + NONCE_BYTES + TAG_BYTES) {
      throw new TypeError(`Cannot unseal ${place}: it is no box of version ${VERSION}`);
    }
    const nonce = box.subarray(1, 1 + NONCE_BYTES);
    const decipher = createDecipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(place));
    decipher.setAuthTag(box.subarray(-TAG_BYTES));
    try {
      const text = decipher.update(box.subarray(1 + NONCE_BYTES, -TAG_BYTES));
      return Buffer.concat([text, decipher.final()]).toString("utf8");
    } catch (error) {
      throw new TypeError(`Cannot unseal ${place}: the key is another or the box was changed`, {
        cause: error,
      });
    }
  }
}

/** Under which a token is looked up, so that reading the database gives no token. */
export function hashToken(token: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(token).digest());
}
