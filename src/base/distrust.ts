// SPDX-License-Identifier: AGPL-3.0-or-later

/** Codes by which a TLS stack says that it reached the peer and does not trust its certificate. */
const DISTRUST =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_|ERR_TLS_CERT|HOSTNAME_MISMATCH)/;

/** True when a request failed because the peer's certificate was not trusted. */
export function isDistrust(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && DISTRUST.test(code);
}
