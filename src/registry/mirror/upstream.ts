// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What the mirror asks the registry behind it. Whoever uses our mirror never gets there: only the
 * mirror's own credentials do, and only to upstream itself.
 */
import { ProvError } from "../../base/errors.ts";
import { stringAt } from "../../base/json.ts";
import { type Millis, millis, minutes, seconds } from "../../base/units.ts";
import { streamBlob, type WantedBlob } from "../client/blob-stream.ts";
import { type Conversation, converse } from "../client/conversation.ts";
import { fetchManifest } from "../client/manifest-transfer.ts";
import type { ClientDeps, Remote } from "../client/remote.ts";
import { type Digest, parseDigest } from "../digest.ts";
import { type Manifest, parseManifest } from "../manifest.ts";
import { fits } from "../policy/policy.ts";
import { digestSaid, isNotThere, list, question, sizeSaid, useless, within } from "./question.ts";

/** The registry that a mirror caches. */
export interface UpstreamConfig {
  /** Base URL without a path: `http(s)://host:port`. */
  readonly registry: string;
  /** Stands before our repositories' names there, as `site-a` in `site-a/os/debian`; "" for nothing. */
  readonly prefix: string;
  /** Whole value of the Authorization header; only ever sent to `registry`. */
  readonly authorization: string | null;
  /** PEM of the CA that signed its certificate; null for a public one or plain HTTP. */
  readonly ca: string | null;
  /** How long an answer about what can change (tags, referrers) is trusted. */
  readonly ttl: Millis;
  /** Globs over our repositories' names: what is asked for upstream. */
  readonly repositories: readonly string[];
}

/** How long upstream is waited for. */
export interface Waits {
  /** For an answer to a question, with all its repetitions. Default: 20 s. */
  readonly answer?: Millis;
  /** For an answer that can be done without, or is not to be expected. Default: 5 s. */
  readonly recheck?: Millis;
  /** For the next byte of a blob, over all new attempts. Default: 2 min. */
  readonly patience?: Millis;
  /** For the next byte on one connection. Default: 30 s. */
  readonly stall?: Millis;
}

export type UpstreamDeps = Omit<ClientDeps, "patience"> & {
  readonly waits?: Waits;
  /** Whether upstream should not be waited for long: it did not answer a moment ago. */
  readonly isResting: () => boolean;
};

interface MirroredManifest {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  readonly manifest: Manifest;
}

/**
 * All of it throws {@link ProvError}: `ARTIFACT_NOT_FOUND`, `ARTIFACT_INVALID`, `UNAUTHENTICATED`,
 * `FORBIDDEN`, `REGISTRY_UNREACHABLE`.
 */
export interface Upstream {
  covers(repository: string): boolean;
  /** That there is a registry at all, and no page of a proxy: end-1 of distribution-spec. */
  answers(repository: string): Promise<void>;
  /** What a tag names now; undefined when upstream does not say without the manifest. */
  tagged(repository: string, tag: string): Promise<Digest | undefined>;
  /** Verified against its digest. @param reference a tag or a digest. */
  manifest(repository: string, reference: string): Promise<MirroredManifest>;
  /** In bytes. */
  blobSize(repository: string, digest: Digest): Promise<number>;
  /** The rest of a blob; ends without an error only if all of it came and its digest is right. */
  blob(repository: string, wanted: WantedBlob, signal: AbortSignal): ReadableStream<Uint8Array>;
  tags(repository: string): Promise<readonly string[]>;
  /** Digests of the manifests that refer to this one. */
  referrers(repository: string, subject: Digest): Promise<readonly Digest[]>;
}

const TAGS_PER_PAGE = 1000;
/** Repositories whose bearer token is kept. */
const CONVERSATIONS = 100;

export function createUpstream(config: UpstreamConfig, deps: UpstreamDeps): Upstream {
  const { answer = seconds(20), recheck = seconds(5) } = deps.waits ?? {};
  const { patience = minutes(2), stall = seconds(30) } = deps.waits ?? {};
  const patiently = { ...deps, within: answer, patience: millis(answer / 2) };
  const rechecking = { ...deps, within: recheck, patience: millis(0) };
  const asking = () => (deps.isResting() ? rechecking : patiently);
  const receiving = { ...deps, patience, stallAfter: stall };
  const about = createConversations(config, deps);
  return {
    covers: (repository) => config.repositories.some((pattern) => fits(pattern, repository)),
    answers(repository) {
      const asked = { ...about(repository), path: `${config.registry}/v2/`, subject: "/v2/" };
      return question(asked, rechecking, () => undefined).catch((error) => {
        // It lets nobody in without a login, and may still let anybody read: a registry has answered.
        if (!(error instanceof ProvError && error.code === "UNAUTHENTICATED")) throw error;
      });
    },
    tagged(repository, tag) {
      const asked = { ...about(repository), path: `manifests/${tag}`, subject: tag };
      return question({ ...asked, method: "HEAD" }, rechecking, digestSaid);
    },
    async manifest(repository, reference) {
      const { remote } = about(repository);
      const how = asking();
      const { bytes, digest, contentType } = await within(how, remote, (signal) =>
        fetchManifest(remote, reference, how, signal),
      );
      try {
        return { bytes, digest, manifest: parseManifest(bytes, contentType) };
      } catch (cause) {
        throw useless({ remote, subject: reference }, "its manifest is not valid", cause);
      }
    },
    async blobSize(repository, digest) {
      const asked = { ...about(repository), path: `blobs/${digest}`, subject: digest };
      // Storage behind a redirect may leave the length out of its answer to HEAD, and a mirror whose own
      // upstream is away has 404 for it.
      const looked = await question({ ...asked, method: "HEAD" }, asking(), sizeSaid).catch(
        (error) => {
          if (!isNotThere(error)) throw error;
        },
      );
      const size = looked ?? (await question(asked, asking(), sizeSaid));
      if (size !== undefined) return size;
      throw useless(asked, "it does not say how long the blob is");
    },
    blob: (repository, wanted, signal) =>
      streamBlob(about(repository).remote, wanted, receiving, signal),
    async tags(repository) {
      const path = `tags/list?n=${TAGS_PER_PAGE}`;
      const found = await list({ ...about(repository), path, subject: "tags" }, "tags", asking());
      return found.filter((tag) => typeof tag === "string");
    },
    async referrers(repository, subject) {
      const asked = { ...about(repository), path: `referrers/${subject}`, subject };
      const found = await list(asked, "manifests", asking()).catch((error) => {
        if (!isNotThere(error)) throw error;
        // distribution-spec, "Unavailable Referrers API": a tag that is named after the digest.
        const path = `manifests/${subject.replace(":", "-")}`;
        return list({ ...asked, path }, "manifests", asking());
      });
      return found.flatMap((each) => parseDigest(stringAt(each, "digest") ?? "") ?? []);
    },
  };
}

interface About {
  readonly remote: Remote;
  readonly talk: Conversation;
}

/** Conversations by our repository's name: each keeps the token that upstream has given for it. */
function createConversations(
  { registry, prefix, authorization, ca }: UpstreamConfig,
  deps: ClientDeps,
): (repository: string) => About {
  const begun = new Map<string, About>();
  return (name) => {
    const known = begun.get(name);
    if (known !== undefined) return known;
    const repository = prefix === "" ? name : `${prefix}/${name}`;
    const remote = { registry, repository, authorization, ca };
    const about = { remote, talk: converse(remote, "pull", deps) };
    begun.set(name, about);
    for (const [oldest] of begun) if (begun.size > CONVERSATIONS) begun.delete(oldest);
    return about;
  };
}
