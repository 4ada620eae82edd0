// SPDX-License-Identifier: AGPL-3.0-or-later
import { MANIFEST_MAX_BYTES } from "../manifest.ts";
import { OciError } from "../oci-error.ts";

/**
 * The whole body of a manifest push.
 * @throws {OciError} 413 when it is too long, without reading the rest; `MANIFEST_INVALID` when the
 *   connection broke before its end.
 */
export async function readManifestBody(request: Request): Promise<Uint8Array> {
  const length = request.headers.get("content-length");
  if (length !== null && Number(length) > MANIFEST_MAX_BYTES) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of request.body ?? []) {
      size += chunk.byteLength;
      if (size > MANIFEST_MAX_BYTES) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof OciError ? error : cutShort(size, error);
  }
  // A chunked body that breaks off can look like one that has ended.
  const isWhole = !request.signal.aborted && (length === null || Number(length) === size);
  if (!isWhole) throw cutShort(size, undefined);
  return Buffer.concat(chunks);
}

function tooLarge(): OciError {
  return new OciError(`a manifest has at most ${MANIFEST_MAX_BYTES} bytes`, {
    code: "MANIFEST_INVALID",
    status: 413,
  });
}

function cutShort(bytes: number, cause: unknown): OciError {
  return new OciError(`the manifest was cut short after ${bytes} bytes`, {
    code: "MANIFEST_INVALID",
    cause,
  });
}
