// SPDX-License-Identifier: AGPL-3.0-or-later
import { hintOf, ProvError } from "../../base/errors.ts";
import { OciError } from "../oci-error.ts";

/**
 * Does what a mirror may have to ask upstream for, for who is not a client of the protocol.
 * @param what has failed, when it does: `Cannot …`.
 * @throws {ProvError} `REGISTRY_UNREACHABLE`, `STORAGE_FULL`
 */
export async function forJobs<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof OciError ? upstreamFailed(what, error) : error;
  }
}

export function upstreamFailed(message: string, error: OciError): ProvError {
  return new ProvError(message, {
    code: error.code === "STORAGE_FULL" ? "STORAGE_FULL" : "REGISTRY_UNREACHABLE",
    cause: error,
    hint:
      hintOf(error) ??
      "Check that the upstream registry is up and reachable, and the mirror's credentials there.",
  });
}
