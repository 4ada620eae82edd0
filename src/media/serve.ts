// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Media as `Response`s, for a server that takes a fetch handler.
 *
 * Bun.serve sends a body with Content-Length when it is bytes or a range of one file (by sendfile), and
 * only then: a stream is sent chunked and its Content-Length dropped (oven-sh/bun#10507), and a Blob
 * silently loses those of its parts which are ranges of files. So a range that crosses a patch is put
 * together in memory when it is short. A long one, in practice a GET of a whole combined ISO, needs
 * the server in listen.ts, which never sends chunks.
 */
import { mib } from "../base/units.ts";
import { answerMedia, type MediaAnswer, type MediaSource } from "./answer.ts";
import { readSpans, type Span, spanChunks } from "./spans.ts";

/** BMCs ask for 2 KiB to 1 MiB at a time. */
const ASSEMBLED_BYTES = mib(4);

/**
 * @param onContent told of each GET that is answered with content, and with how many bytes
 * @throws {ProvError} MEDIA_INVALID when the file behind the source is gone or was changed.
 */
export function serveMedia(
  request: Request,
  source: MediaSource,
  onContent?: (bytes: number) => void,
): Response {
  const answer = answerMedia(request, source);
  if (answer.contentBytes > 0) onContent?.(answer.contentBytes);
  return new Response(bodyOf(answer), { status: answer.status, headers: answer.headers });
}

function bodyOf(answer: MediaAnswer): Bun.BodyInit | null {
  const [span, ...more] = answer.spans;
  if (span === undefined) return null;
  if (more.length === 0) return bodyOfOne(span, answer.status === 206);
  if (answer.contentBytes <= ASSEMBLED_BYTES) return readSpans(answer.spans);
  return streamOf(answer.spans);
}

function bodyOfOne(span: Span, isPart: boolean): Bun.BodyInit {
  if (span.kind === "bytes") return span.bytes;
  // A slice makes Bun.serve answer 206, even when it is all of the file.
  return isPart ? Bun.file(span.path).slice(span.start, span.end) : Bun.file(span.path);
}

function streamOf(spans: readonly Span[]): ReadableStream<Uint8Array> {
  const chunks = spanChunks(spans);
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await chunks.return(undefined);
    },
  });
}
