// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * `/task.json` on the task ISO: what the agent needs to know besides the recipe.
 */
import { renderFindings } from "../base/findings.ts";
import { isObject, type JsonObject } from "../base/json.ts";
import type { NetworkConfig } from "./network.ts";
import { parseNetworkConfig } from "./network-parse.ts";

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

/**
 * Reads `/task.json`. Fields that it does not know are left out: a newer controller may add some.
 *
 * @throws {SyntaxError} for text that is not JSON.
 * @throws {TypeError} naming the place, `/artifact/digest: must be a string or null`.
 */
export function parseEnvelope(text: string): Envelope {
  const document: unknown = JSON.parse(text);
  if (!isObject(document)) throw new TypeError("/: must be an object");
  if (document.version !== 1) throw new TypeError("/version: must be 1");
  return {
    version: 1,
    job_id: requireText(document, "job_id"),
    server_serial: requireText(document, "server_serial"),
    task_target: requireText(document, "task_target"),
    controller_urls: requireUrls(document.controller_urls),
    ca_certificate: textOrNull(document, "ca_certificate"),
    token: requireText(document, "token"),
    artifact: requireArtifact(document.artifact),
    network: requireNetwork(document.network),
  };
}

function requireText(object: JsonObject, key: string, at = ""): string {
  const value = object[key];
  if (typeof value === "string" && value !== "") return value;
  throw new TypeError(`${at}/${key}: must be a string that is not empty`);
}

function textOrNull(object: JsonObject, key: string, at = ""): string | null {
  const value = object[key];
  if (value === null || typeof value === "string") return value;
  throw new TypeError(`${at}/${key}: must be a string or null`);
}

function requireUrls(value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw new TypeError("/controller_urls: must be a list that is not empty");
  }
  for (const [i, url] of value.entries()) {
    if (typeof url !== "string" || !/^https?:\/\/[^/\s]+/.test(url)) {
      throw new TypeError(`/controller_urls/${i}: must be an http or https URL`);
    }
  }
  return value;
}

function requireArtifact(value: unknown): EnvelopeArtifact | null {
  if (value === null) return null;
  if (!isObject(value)) throw new TypeError("/artifact: must be an object or null");
  return {
    registry: textOrNull(value, "registry", "/artifact"),
    repository: requireText(value, "repository", "/artifact"),
    reference: requireText(value, "reference", "/artifact"),
    digest: textOrNull(value, "digest", "/artifact"),
  };
}

function requireNetwork(value: unknown): NetworkConfig | null {
  if (value === null) return null;
  const { config, findings } = parseNetworkConfig(value);
  if (config === undefined) {
    throw new TypeError(renderFindings(findings.map((f) => ({ ...f, path: `/network${f.path}` }))));
  }
  return config;
}
