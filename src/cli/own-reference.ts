// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import type { PullDeps } from "../registry/client/pull.ts";
import type { Remote } from "../registry/client/remote.ts";
import { parseReference, type Reference } from "../registry/reference.ts";
import type { Api } from "./api-client.ts";
import type { Cli } from "./command.ts";
import { journalLog } from "./journal-log.ts";

/**
 * Reads a reference to an artifact of the controller's registry; a host in it would be ignored.
 * @throws {ProvError} `ARTIFACT_INVALID`, `USAGE`
 */
export function ownReference(text: string): Reference {
  const reference = parseReference(text);
  if (reference.registry === null) return reference;
  throw new ProvError(`Cannot use "${text}": name the artifact without a registry host`, {
    code: "USAGE",
    hint: "These commands speak to the controller of PROV_URL; for other registries use oras.",
  });
}

export function remoteOf(api: Api, repository: string): Remote {
  const { url: registry, authorization, ca } = api;
  return { registry, repository, authorization, ca };
}

export function clientDeps({ fetch, sleep, now, terminal }: Cli): PullDeps {
  return { fetch, sleep, now, log: journalLog(terminal) };
}
