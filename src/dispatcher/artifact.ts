// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import { minutes, seconds } from "../base/units.ts";
import type { Envelope } from "../jobs/envelope.ts";
import { type ArtifactSource, openBlob, resolveArtifact } from "../registry/client/pull.ts";
import type { ClientDeps } from "./controller-client.ts";

/** A controller that is restarted or upgraded meanwhile is back well within this. */
const PATIENCE = minutes(15);
const PAUSE = seconds(3);
const ATTEMPT_TIMEOUT = seconds(10);

/**
 * Opens the content of the job's artifact, pinned to its digest where the controller knew it.
 *
 * @returns the verified stream and its size in bytes.
 * @throws {ProvError} `CONTROLLER_UNREACHABLE`, `REGISTRY_UNREACHABLE`, `ARTIFACT_NOT_FOUND`,
 *   `ARTIFACT_INVALID`; the stream itself errors with the last three as well.
 */
export async function openArtifact(
  envelope: Envelope,
  deps: ClientDeps,
  signal: AbortSignal,
): Promise<{ stream: ReadableStream<Uint8Array>; size: number }> {
  const { artifact } = envelope;
  if (artifact === null) {
    throw new ProvError("Cannot pull the image: the job names no artifact", {
      code: "ARTIFACT_NOT_FOUND",
    });
  }
  const isOwn = artifact.registry === null;
  const source: ArtifactSource = {
    registry: artifact.registry ?? (await reachableController(envelope, deps, signal)),
    repository: artifact.repository,
    reference: artifact.digest ?? artifact.reference,
    // The job's token is the controller's: no other registry gets to see it.
    authorization: isOwn ? `Bearer ${envelope.token}` : null,
    ca: isOwn ? envelope.ca_certificate : null,
  };
  const pull = { ...deps, patience: PATIENCE };
  const { layer } = await resolveArtifact(source, pull, signal);
  return { stream: openBlob(source, layer, pull, signal), size: layer.size };
}

/** The first of the controller's URLs that answers. @throws {ProvError} `CONTROLLER_UNREACHABLE` */
async function reachableController(
  envelope: Envelope,
  deps: ClientDeps,
  signal: AbortSignal,
): Promise<string> {
  const giveUpAt = deps.now() + PATIENCE;
  for (;;) {
    for (const url of envelope.controller_urls) {
      const answer = await deps
        .fetch(`${url}/healthz`, {
          signal: AbortSignal.any([signal, AbortSignal.timeout(ATTEMPT_TIMEOUT)]),
          ...(envelope.ca_certificate !== null && { tls: { ca: envelope.ca_certificate } }),
        })
        .catch(() => undefined);
      await answer?.body?.cancel();
      if (answer?.ok === true) return url;
    }
    signal.throwIfAborted();
    if (deps.now() > giveUpAt) {
      throw new ProvError(
        `Cannot reach the controller at any of ${envelope.controller_urls.join(", ")}`,
        {
          code: "CONTROLLER_UNREACHABLE",
          hint: "Check the server's network configuration and the controller's public URLs.",
        },
      );
    }
    await deps.sleep(PAUSE, signal);
  }
}
