// SPDX-License-Identifier: AGPL-3.0-or-later
import { hashToken, type Random, type Sealer } from "../seal.ts";
import { MEDIA_KINDS, type MediaKind, type MediaStore, type MediaToken } from "../store.ts";
import type { Connection } from "./connection.ts";
import { memberOf } from "./job-row.ts";
import type { Listeners } from "./listeners.ts";
import { revokeMedia } from "./transitions.ts";

interface MediaRow {
  readonly token_hash: Uint8Array;
  readonly token_sealed: Uint8Array;
  readonly job_id: string;
  readonly kind: string;
  readonly created_at: number;
  readonly expires_at: number;
  readonly revoked_at: number | null;
  readonly gets: number;
  readonly first_get_at: number | null;
  readonly last_get_at: number | null;
}

/** 160 bits, as much as nobody will ever try. */
const TOKEN_BYTES = 20;

/**
 * A BMC reads an ISO in thousands of small ranges. Counts are kept here and written at most once in this
 * time per token, because every write waits for the disk.
 */
const COUNT_WRITE_INTERVAL_MS = 1000;

interface Uncounted {
  gets: number;
  lastGetAt: number;
  readonly writtenAt: number;
}

export class SqliteMediaStore implements MediaStore {
  readonly #connection: Connection;
  readonly #sealer: Sealer;
  readonly #listeners: Listeners;
  readonly #random: Random;
  /** By token: GETs since the last write. */
  readonly #uncounted = new Map<string, Uncounted>();

  constructor(
    connection: Connection,
    sealer: Sealer,
    { listeners, random }: { readonly listeners: Listeners; readonly random: Random },
  ) {
    this.#connection = connection;
    this.#sealer = sealer;
    this.#listeners = listeners;
    this.#random = random;
  }

  issue(jobId: string, kind: MediaKind, expiresAt: number, now: number): Promise<MediaToken> {
    return this.#connection.write(() => {
      const token = base32(this.#random(TOKEN_BYTES));
      const row = this.#connection.db
        .query<MediaRow, Record<string, string | number | Uint8Array>>(
          `insert into media (token_hash, token_sealed, job_id, kind, created_at, expires_at)
           values ($hash, $sealed, $jobId, $kind, $now, $expiresAt)
           returning *`,
        )
        .get({
          hash: hashToken(token),
          sealed: this.#sealer.seal(tokenPlace(jobId), token),
          jobId,
          kind,
          now,
          expiresAt,
        });
      if (row === null) throw new TypeError("An insert returns its row");
      return this.#fromRow(row);
    });
  }

  get(token: string): Promise<MediaToken | undefined> {
    return this.#connection.read(() => {
      const row = this.#connection.db
        .query<MediaRow, { hash: Uint8Array }>("select * from media where token_hash = $hash")
        .get({ hash: hashToken(token) });
      return row === null ? undefined : this.#fromRow(row);
    });
  }

  forJob(jobId: string): Promise<readonly MediaToken[]> {
    return this.#connection.read(() =>
      this.#connection.db
        .query<MediaRow, { jobId: string }>(
          "select * from media where job_id = $jobId order by created_at, rowid",
        )
        .all({ jobId })
        .map((row) => this.#fromRow(row)),
    );
  }

  countGet(token: string, now: number): Promise<void> {
    const counted = this.#uncounted.get(token);
    if (counted !== undefined && now - counted.writtenAt < COUNT_WRITE_INTERVAL_MS) {
      counted.gets++;
      counted.lastGetAt = now;
      return Promise.resolve();
    }
    return this.#connection.write(() => {
      const gets = (counted?.gets ?? 0) + 1;
      if (this.#writeCount(token, gets, now)) {
        this.#uncounted.set(token, { gets: 0, lastGetAt: now, writtenAt: now });
      }
    });
  }

  revoke(jobId: string, now: number): Promise<void> {
    return this.#connection.write(() => {
      this.writeCounts();
      revokeMedia(this.#connection.db, jobId, now);
    });
  }

  /** Writes the counts that are only here, and forgets them; before closing. */
  writeCounts(): void {
    for (const [token, { gets, lastGetAt }] of this.#uncounted) {
      if (gets > 0) this.#writeCount(token, gets, lastGetAt);
    }
    this.#uncounted.clear();
  }

  /** @returns false when there is no such token. */
  #writeCount(token: string, gets: number, lastGetAt: number): boolean {
    const row = this.#connection.db
      .query<
        { job_id: string; gets: number },
        { hash: Uint8Array; gets: number; lastGetAt: number }
      >(
        `update media
            set gets = gets + $gets,
                first_get_at = coalesce(first_get_at, $lastGetAt),
                last_get_at = $lastGetAt
          where token_hash = $hash
         returning job_id, gets`,
      )
      .get({ hash: hashToken(token), gets, lastGetAt });
    if (row?.gets === gets) this.#listeners.wake(row.job_id);
    return row !== null;
  }

  #fromRow(row: MediaRow): MediaToken {
    const token = this.#sealer.unseal(tokenPlace(row.job_id), row.token_sealed);
    const uncounted = this.#uncounted.get(token);
    return {
      token,
      jobId: row.job_id,
      kind: memberOf(MEDIA_KINDS, row.kind),
      createdAt: row.created_at,
      expiresAt: row.expires_at,
      revokedAt: row.revoked_at,
      gets: row.gets + (uncounted?.gets ?? 0),
      firstGetAt: row.first_get_at,
      lastGetAt: uncounted?.lastGetAt ?? row.last_get_at,
    };
  }
}

const tokenPlace = (jobId: string): string => `media.token/${jobId}`;

/** RFC 4648, 6, in lower case: nothing that a BMC's URL parser could trip over. */
const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

function base32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += ALPHABET[(held >> (bits - 5)) & 31];
    held &= (1 << bits) - 1;
  }
  return text;
}
