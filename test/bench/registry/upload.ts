// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * Uploads by curl: a process per upload, the same for every registry, that reads its file in 64 KiB pieces
 * and sends them. It takes a third of the CPU time of what receives it, so that the registry is the limit.
 */
import { truncate } from "node:fs/promises";
import { join } from "node:path";
import { peakRss } from "../../helpers/bench.ts";
import { pingDuring } from "./pinger.ts";
import { cpuSeconds, run } from "./processes.ts";
import type { Server } from "./servers.ts";

export interface Content {
  readonly path: string;
  readonly size: number;
  readonly digest: string;
}

/** A file that takes no room on the disk until a registry has it; no two of them are equal. */
export async function makeContent(directory: string, name: string, size: number): Promise<Content> {
  const path = join(directory, name);
  await Bun.write(path, crypto.getRandomValues(new Uint8Array(32)));
  await truncate(path, size);
  const { out } = await hash(path);
  return { path, size, digest: `sha256:${out.trim().split(" ").at(-1)}` };
}

export const hash = (path: string) => run(["openssl", "dgst", "-sha256", path]);

/** @returns where the content is to be sent. */
async function begin(server: Server): Promise<string> {
  const start = await curl(server, [
    ...["--request", "POST", "--output", "/dev/null", "--write-out", "%header{location}"],
    ...["--header", "content-length: 0"],
    `${server.url}/v2/bench/blobs/uploads/`,
  ]);
  return new URL(start.out, server.url).href;
}

const curl = ({ login }: Server, args: readonly string[]) =>
  run([
    ...["curl", "--silent", "--show-error", "--fail"],
    ...(login === undefined ? [] : ["--config", login]),
    ...args,
  ]);

/** Sends the whole of `content` and does not finish: @returns where it would go on. */
export async function uploadUnfinished(server: Server, content: Content): Promise<string> {
  const location = await begin(server);
  await curl(server, ["--request", "PATCH", "--upload-file", content.path, location]);
  return location;
}

export const finishUpload = (server: Server, location: string, content: Content) =>
  curl(server, [
    ...["--request", "PUT", "--header", "content-length: 0"],
    withDigest(location, content),
  ]);

function withDigest(location: string, { digest }: Content): string {
  const url = new URL(location);
  url.searchParams.set("digest", digest);
  return url.href;
}

export interface UploadResult {
  readonly seconds: number;
  /** The server's. */
  readonly cpuSeconds: number;
  readonly peakRss: number;
  /** Of small requests meanwhile, in ms. */
  readonly p99: number;
}

/** All at once; ends when the last one is acknowledged. */
export async function upload(server: Server, contents: readonly Content[]): Promise<UploadResult> {
  const locations = await Promise.all(contents.map(() => begin(server)));
  const send = (content: Content, i: number) =>
    curl(server, ["--upload-file", content.path, withDigest(locations[i] ?? "", content)]);
  const { result, p99 } = await pingDuring(server.pingUrl, async () => {
    const cpuBefore = await cpuSeconds(server.pid);
    const start = performance.now();
    await Promise.all(contents.map(send));
    return {
      seconds: (performance.now() - start) / 1000,
      cpuSeconds: (await cpuSeconds(server.pid)) - cpuBefore,
    };
  });
  return { ...result, p99, peakRss: await peakRss(server.pid) };
}
