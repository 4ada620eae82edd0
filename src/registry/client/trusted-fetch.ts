// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import type { ClientDeps } from "./remote.ts";

/** Codes of openssl and of node: the other end is not who it says, as far as we know. */
const UNTRUSTED =
  /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_|ERR_TLS_CERT)/;
/** A clock that is still to be set makes that better. */
const TOO_EARLY = "CERT_NOT_YET_VALID";

/**
 * A request. No repetition makes a certificate trusted, so that one which is not is no failure of the
 * line.
 * @throws {ProvError} `REGISTRY_UNREACHABLE` for it.
 */
export async function trustedFetch(
  { fetch }: ClientDeps,
  url: URL,
  init: BunFetchRequestInit,
): Promise<Response> {
  try {
    return await fetch(url.href, init);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (!UNTRUSTED.test(code) || code === TOO_EARLY) throw error;
    throw new ProvError(`Cannot trust the certificate of ${url.host}`, {
      code: "REGISTRY_UNREACHABLE",
      cause: error,
      hint: "Name the CA that signed it (the command line: PROV_CA_FILE), or correct the address.",
    });
  }
}
