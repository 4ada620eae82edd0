// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Digest } from "./digest.ts";
import { upstreamFailed } from "./mirror/for-jobs.ts";
import { OciError } from "./oci-error.ts";
import type { Access, Parts } from "./routes/call.ts";
import { answer } from "./routes/router.ts";
import { createReader, type Get } from "./signatures/reader.ts";
import { type Verdict, verifyArtifact } from "./signatures/verify.ts";

/** The registry asks itself as a client would: what signatures are kept where is the protocol's business. */
const ITSELF: Access = { identity: "registry", may: (action) => action === "pull" };

/**
 * Who signed a manifest of the registry's own.
 *
 * A mirror whose upstream does not answer looks at the signatures that are here: that is enough to
 * accept, and not to refuse.
 *
 * @throws {ProvError} `REGISTRY_UNREACHABLE` when it is not accepted then.
 */
export async function verifyOwn(
  parts: Parts,
  repository: string,
  asked: { readonly digest: Digest; readonly keys: Readonly<Record<string, string>> },
): Promise<Verdict> {
  let isPartial = false;
  const get: Get = async (path, accept) => {
    const request = new Request(`http://registry.invalid/v2/${repository}/${path}`, {
      headers: { accept },
    });
    const response = await answer(request, ITSELF, parts);
    if (response.ok) return response;
    isPartial ||= response.status === 503;
    if (response.status === 404 || response.status === 503) return undefined;
    throw new Error(`The registry answers ${response.status} to ${path}`);
  };
  const verdict = await verifyArtifact(asked, createReader(get));
  if (verdict.signedBy.length > 0 || !isPartial) return verdict;
  const error = new OciError("the upstream registry does not answer", { code: "UNAVAILABLE" });
  throw upstreamFailed(
    `Cannot look for the signatures of ${repository}@${asked.digest} upstream`,
    error,
  );
}
