// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Digest } from "../../../src/registry/digest.ts";
import type { Served } from "../served.ts";

export type Ask = Served["ask"];
type Bytes = Uint8Array<ArrayBuffer>;

/** The path below `/v2/` that a response's Location leads to. */
export function locationOf(response: Response): string {
  const location = response.headers.get("location");
  if (location === null) throw new Error(`no Location: ${response.status} of ${response.url}`);
  return new URL(location, "http://here/").href.replace(/^http:\/\/[^/]+\/v2\//, "");
}

/** Begins an upload. @returns its path below `/v2/`. */
export async function begin(ask: Ask, repository: string, query = ""): Promise<string> {
  const response = await ask("POST", `${repository}/blobs/uploads/${query}`);
  if (response.status !== 202) throw new Error(`POST: ${response.status}`);
  return locationOf(response);
}

export function patch(ask: Ask, upload: string, bytes: Bytes, first: number): Promise<Response> {
  const headers = {
    "content-type": "application/octet-stream",
    "content-range": `${first}-${first + bytes.byteLength - 1}`,
  };
  return ask("PATCH", upload, { body: bytes, headers });
}

/** A body of unknown length: sent in chunks of HTTP's own. */
export function streamed(bytes: Bytes): ReadableStream<Bytes> {
  const half = bytes.byteLength >> 1;
  return new ReadableStream({
    start(controller) {
      if (half > 0) controller.enqueue(bytes.slice(0, half));
      if (bytes.byteLength > 0) controller.enqueue(bytes.slice(half));
      controller.close();
    },
  });
}

async function inChunks(
  ask: Ask,
  repository: string,
  bytes: Bytes,
  digest: Digest,
  doesPutLast: boolean,
): Promise<Response> {
  let upload = await begin(ask, repository);
  const third = Math.ceil(bytes.byteLength / 3);
  const starts = third === 0 ? [] : [0, third, 2 * third].filter((s) => s < bytes.byteLength);
  const last = doesPutLast ? starts.pop() : undefined;
  for (const start of starts) {
    const response = await patch(ask, upload, bytes.slice(start, start + third), start);
    if (response.status !== 202) throw new Error(`PATCH: ${response.status}`);
    upload = locationOf(response);
  }
  const rest = last === undefined ? undefined : bytes.slice(last);
  return await ask("PUT", `${upload}?digest=${digest}`, {
    ...(rest !== undefined && { body: rest }),
    headers: {
      "content-type": "application/octet-stream",
      ...(rest !== undefined && { "content-range": `${last}-${bytes.byteLength - 1}` }),
    },
  });
}

/** Every way to push a blob; each returns the last response. */
export const WAYS: Readonly<
  Record<string, (ask: Ask, repository: string, bytes: Bytes, digest: Digest) => Promise<Response>>
> = {
  "POST then PUT": async (ask, repository, body, digest) =>
    await ask("PUT", `${await begin(ask, repository)}?digest=${digest}`, { body }),
  "a single POST": (ask, repository, body, digest) =>
    ask("POST", `${repository}/blobs/uploads/?digest=${digest}`, { body }),
  "a streamed PATCH": async (ask, repository, bytes, digest) => {
    const upload = await begin(ask, repository);
    const response = await ask("PATCH", upload, { body: streamed(bytes) });
    return await ask("PUT", `${locationOf(response)}?digest=${digest}`);
  },
  "chunks, closed by an empty PUT": (...args) => inChunks(...args, false),
  "chunks, the last one in the PUT": (...args) => inChunks(...args, true),
};
