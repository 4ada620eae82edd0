// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import { type Digest, parseDigest } from "./digest.ts";

/** OCI distribution-spec, "Pulling manifests": `<name>`. */
const COMPONENT = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
/** The same clause, `<reference>` as a tag. */
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
/** Many clients refuse longer names, and so do file systems. */
const REPOSITORY_MAX_CHARS = 255;
const HOST = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?$/;

export function isRepository(name: string): boolean {
  return name.length <= REPOSITORY_MAX_CHARS && REPOSITORY.test(name);
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

export interface Reference {
  /** Host with an optional port and no scheme; null means "the controller's own registry". */
  readonly registry: string | null;
  readonly repository: string;
  readonly tag: string | null;
  readonly digest: Digest | null;
  /** What to ask the registry for: the digest when there is one, else the tag, else `latest`. */
  readonly reference: string;
}

/**
 * Reads `[host[:port]/]repository[:tag][@digest]`, optionally after `oci://`.
 *
 * The first component is a host if and only if it has a "." or a ":" or is "localhost", as docker
 * and oras read it. A tag beside a digest is kept for people; the digest decides.
 *
 * @throws {ProvError} `ARTIFACT_INVALID`
 */
export function parseReference(text: string): Reference {
  const bare = text.replace(/^oci:\/\//, "");
  const [path = "", digestText, ...more] = bare.split("@");
  const digest = digestText === undefined ? null : (parseDigest(digestText) ?? null);
  if (more.length > 0 || (digestText !== undefined && digest === null)) {
    throw invalid(text, "its digest must be sha256:<64 hex digits> or sha512:<128 hex digits>");
  }
  const { registry, rest } = splitHost(path);
  const colon = rest.lastIndexOf(":");
  const repository = colon === -1 ? rest : rest.slice(0, colon);
  const tag = colon === -1 ? null : rest.slice(colon + 1);
  if (registry !== null && !HOST.test(registry)) throw invalid(text, `"${registry}" is not a host`);
  if (!isRepository(repository)) {
    throw invalid(text, `"${repository}" is not a repository name`);
  }
  if (tag !== null && !isTag(tag)) throw invalid(text, `"${tag}" is not a tag`);
  return { registry, repository, tag, digest, reference: digest ?? tag ?? "latest" };
}

function splitHost(path: string): { registry: string | null; rest: string } {
  const slash = path.indexOf("/");
  const first = slash === -1 ? "" : path.slice(0, slash);
  const isHost = first === "localhost" || /[.:]/.test(first);
  return isHost ? { registry: first, rest: path.slice(slash + 1) } : { registry: null, rest: path };
}

function invalid(text: string, why: string): ProvError {
  return new ProvError(`Cannot read the artifact reference "${text}": ${why}`, {
    code: "ARTIFACT_INVALID",
    hint: "Write it as [host[:port]/]repository[:tag][@sha256:…], for example os-images/debian:13.",
  });
}
