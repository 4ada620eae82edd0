// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * `/task.json` on the task ISO: what the agent needs to know besides the recipe.
 */
import type { NetworkConfig } from "./network.ts";

export interface Envelope {
  readonly version: 1;
  readonly job_id: string;
  /** The DMI product serial of the one server that this task is for. */
  readonly server_serial: string;
  readonly task_target: string;
  /** Base URLs under which the server may reach the controller, in order of preference. */
  readonly controller_urls: readonly string[];
  /** PEM of the CA that signed the controller's certificate; null for plain HTTP or a public CA. */
  readonly ca_certificate: string | null;
  /** The job's own secret: for its webhook, its progress and the pull of its artifact. */
  readonly token: string;
  readonly artifact: EnvelopeArtifact | null;
  readonly network: NetworkConfig | null;
}

/** The recipe's `oci_url` as the controller resolved it. */
export interface EnvelopeArtifact {
  /** Registry base URL without `/v2/`; null means "the controller": use `controller_urls` and the token. */
  readonly registry: string | null;
  readonly repository: string;
  /** Tag as asked for, or the digest when the recipe named one. */
  readonly reference: string;
  /** Digest of the manifest when the controller could pin it: what the agent pulls, and R38's "same image". */
  readonly digest: string | null;
}
