// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Database } from "bun:sqlite";
import { ProvError } from "../../base/errors.ts";
import type { Sealer } from "../seal.ts";
import type { JobPayload } from "../store.ts";

export const tokenPlace = (id: string): string => `jobs.token/${id}`;
export const recipePlace = (id: string): string => `jobs.recipe/${id}`;
const envelopePlace = (id: string): string => `jobs.envelope/${id}`;

interface PayloadRow {
  readonly token_sealed: Uint8Array | null;
  readonly recipe_sealed: Uint8Array | null;
  readonly envelope_sealed: Uint8Array | null;
}

export function readPayload(db: Database, sealer: Sealer, id: string): JobPayload | undefined {
  const row = db
    .query<PayloadRow, { id: string }>(
      "select token_sealed, recipe_sealed, envelope_sealed from jobs where id = $id",
    )
    .get({ id });
  if (row === null || row.token_sealed === null || row.recipe_sealed === null) return undefined;
  const envelope = row.envelope_sealed;
  return {
    recipeText: sealer.unseal(recipePlace(id), row.recipe_sealed),
    token: sealer.unseal(tokenPlace(id), row.token_sealed),
    envelopeText: envelope === null ? null : sealer.unseal(envelopePlace(id), envelope),
  };
}

/** Writing the same text again changes nothing. @throws {ProvError} `CONFLICT` when it has another. */
export function writeEnvelope(db: Database, sealer: Sealer, id: string, text: string): void {
  const earlier = readPayload(db, sealer, id)?.envelopeText ?? null;
  if (earlier === text) return;
  if (earlier !== null) {
    throw new ProvError(`Cannot write the envelope of job ${id}: it has another one`, {
      code: "CONFLICT",
    });
  }
  db.query("update jobs set envelope_sealed = $sealed where id = $id").run({
    id,
    sealed: sealer.seal(envelopePlace(id), text),
  });
}
