// SPDX-License-Identifier: AGPL-3.0-or-later
import { arrayAt, stringAt } from "../../base/json.ts";
import { mib } from "../../base/units.ts";
import { type Digest, parseDigest } from "../digest.ts";
import { MEDIA_TYPE } from "../manifest.ts";
import { parseObject } from "./json-bytes.ts";

/** GETs a path below `/v2/<repository>/`. @returns undefined when there is nothing. */
export type Get = (path: string, accept: string) => Promise<Response | undefined>;

/** What signatures are found with, in one repository. Nothing is read beyond a bound. */
export interface SignatureReader {
  /** By tag or digest. @throws {SyntaxError} when it is too long */
  manifest(reference: string): Promise<Uint8Array | undefined>;
  /** @throws {SyntaxError} when it is too long */
  blob(digest: Digest): Promise<Uint8Array | undefined>;
  /** Manifests whose subject is this one. @throws {SyntaxError} when there is no reading them */
  referrers(
    subject: Digest,
  ): Promise<readonly { readonly digest: Digest; readonly artifactType: string }[]>;
}

const MANIFEST_LIMIT = mib(4);
/** A bundle by a key has two kilobytes; one with a certificate and a log's proof ten. */
const BLOB_LIMIT = 256 * 1024;
const REFERRERS_LIMIT = mib(8);

const ACCEPT = Object.values(MEDIA_TYPE).join(", ");

/** Reads through the registry's protocol, whoever carries the requests. */
export function createReader(get: Get): SignatureReader {
  const read = async (path: string, accept: string, limit: number) => {
    const response = await get(path, accept);
    return response === undefined ? undefined : await readUpTo(response, limit);
  };
  return {
    manifest: (reference) => read(`manifests/${reference}`, ACCEPT, MANIFEST_LIMIT),
    blob: (digest) => read(`blobs/${digest}`, "*/*", BLOB_LIMIT),
    async referrers(subject) {
      const bytes = await read(`referrers/${subject}`, MEDIA_TYPE.index, REFERRERS_LIMIT);
      if (bytes === undefined) return [];
      return arrayAt(parseObject(bytes), "manifests").flatMap((found) => {
        const digest = parseDigest(stringAt(found, "digest") ?? "");
        const artifactType = stringAt(found, "artifactType");
        return digest === undefined || artifactType === undefined ? [] : [{ digest, artifactType }];
      });
    },
  };
}

async function readUpTo(response: Response, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > limit) throw new SyntaxError(`it has more than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
