// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Fetch, Log, Sleep } from "../../base/deps.ts";
import { ProvError } from "../../base/errors.ts";
import { seconds } from "../../base/units.ts";
import { cacheBlocks } from "./block-cache.ts";
import type { Medium } from "./machine.ts";

export interface MediaProxy {
  /** On 127.0.0.1, for QEMU alone. */
  readonly url: string;
  /** How many ranges were read of the medium's own URL. */
  reads(): number;
  /** Ends reads that are under way too. */
  stop(): Promise<void>;
}

export interface MediaProxyDeps {
  readonly fetch: Fetch;
  readonly sleep: Sleep;
  readonly log: Log;
}

/** One GET of the medium; a real BMC reads in comparable units over its slow network stack. */
const BLOCK = 1024 * 1024;
const KEEP = 32;
const TRIES = 4;

/**
 * Reads a medium by Range as a BMC does, and hands it to QEMU. QEMU does not read the URL itself
 * because its curl driver stalls on kept-alive connections, asks in small pieces and checks no
 * certificate of ours; this server answers one request per connection.
 */
export function startMediaProxy(medium: Medium, deps: MediaProxyDeps): MediaProxy {
  let reads = 0;
  const stopped = new AbortController();
  const read = cacheBlocks(
    (start, end) => {
      reads++;
      return readRange(medium, { start, end, signal: stopped.signal }, deps);
    },
    { size: medium.size, block: BLOCK, keep: KEEP },
  );
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 120,
    fetch: (request) => answer(request, medium.size, read),
    error: (error) => {
      if (!stopped.signal.aborted) {
        deps.log.warn({ err: error, url: medium.url }, "medium cannot be read");
      }
      return new Response(null, { status: 502 });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}/medium.iso`,
    reads: () => reads,
    stop: () => {
      stopped.abort(new Error("the medium was ejected"));
      return server.stop(true);
    },
  };
}

async function answer(
  request: Request,
  size: number,
  read: (start: number, end: number) => Promise<Uint8Array>,
): Promise<Response> {
  const headers = { "Accept-Ranges": "bytes", Connection: "close" };
  if (request.method === "HEAD") {
    return new Response(null, { headers: { ...headers, "Content-Length": String(size) } });
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "");
  const start = Number(range?.[1] ?? Number.NaN);
  // RFC 9110 §14.1.2: without a last byte the range goes to the end.
  const end = range?.[2] === "" ? size : Math.min(size, Number(range?.[2]) + 1);
  if (!(start < end)) {
    return new Response(null, {
      status: 416,
      headers: { ...headers, "Content-Range": `bytes */${size}` },
    });
  }
  const bytes = await read(start, end);
  return new Response(bytes, {
    status: 206,
    headers: { ...headers, "Content-Range": `bytes ${start}-${end - 1}/${size}` },
  });
}

interface Piece {
  readonly start: number;
  readonly end: number;
  readonly signal: AbortSignal;
}

/** Some tries, so that a medium survives a restart of the server behind it. */
async function readRange(medium: Medium, piece: Piece, deps: MediaProxyDeps): Promise<Uint8Array> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readOnce(medium, piece, deps.fetch);
    } catch (error) {
      deps.log.debug({ err: error, url: medium.url, attempt }, "medium read failed");
      if (attempt === TRIES || piece.signal.aborted) throw error;
      await deps.sleep(seconds(attempt), piece.signal);
    }
  }
}

async function readOnce(
  medium: Medium,
  { start, end, signal }: Piece,
  fetch: Fetch,
): Promise<Uint8Array> {
  const response = await fetch(medium.url, {
    headers: { Range: `bytes=${start}-${end - 1}` },
    redirect: "manual",
    signal: AbortSignal.any([signal, AbortSignal.timeout(seconds(60))]),
    // Hardware seldom checks the certificate of a media server.
    tls: { rejectUnauthorized: false },
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (response.status !== 206 || bytes.length !== end - start) {
    const found = `HTTP ${response.status} with ${bytes.length} bytes`;
    throw new ProvError(`Cannot read ${end - start} bytes at ${start} of the medium: ${found}`, {
      code: "MEDIA_INVALID",
    });
  }
  return bytes;
}
