// SPDX-License-Identifier: AGPL-3.0-or-later
import { readFile } from "node:fs/promises";
import { type Envelope, parseEnvelope } from "../jobs/envelope.ts";

/**
 * Reads a `task.json`.
 *
 * @throws {Error} when it cannot be read; {TypeError} naming the place that is wrong; {SyntaxError}, without
 *   what the parser says, which may quote the token.
 */
export async function readEnvelopeFile(path: string): Promise<Envelope> {
  const text = await readFile(path, "utf8");
  try {
    return parseEnvelope(text);
  } catch (error) {
    throw withoutQuotes(error);
  }
}

function withoutQuotes(error: unknown): unknown {
  return error instanceof SyntaxError ? new SyntaxError("it is not JSON") : error;
}
