// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { median, peakRss, type Row } from "../../helpers/bench.ts";
import { pingDuring } from "./pinger.ts";
import { atLeast, atMost, type Plan } from "./plan.ts";
import { type Server, startDockerRegistry, startProv } from "./servers.ts";
import {
  type Content,
  finishUpload,
  hash,
  makeContent,
  type UploadResult,
  upload,
  uploadUnfinished,
} from "./upload.ts";

const MIB = 1024 ** 2;
const KINDS = { prov: startProv, peer: startDockerRegistry };
type Results = Record<keyof typeof KINDS, UploadResult[]>;

/** Each measurement has a server and a directory of its own, so that no round rests on another. */
async function withServer<T>(
  start: (directory: string) => Promise<Server>,
  { directory }: Plan,
  use: (server: Server) => Promise<T>,
): Promise<T> {
  const own = join(directory, "server");
  await mkdir(own);
  try {
    await using server = await start(own);
    return await use(server);
  } finally {
    await rm(own, { recursive: true });
  }
}

/** A B, then B A: what slows the machine down for a while hits both. */
async function compare(plan: Plan, contents: readonly Content[]): Promise<Results> {
  const results: Results = { prov: [], peer: [] };
  for (let round = 0; round < plan.rounds; round++) {
    const kinds = ["prov", "peer"] as const;
    for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
      const result = await withServer(KINDS[kind], plan, (server) => upload(server, contents));
      const { seconds, cpuSeconds, p99 } = result;
      plan.note(
        `${kind}: ${contents.length} uploads, ${seconds.toFixed(1)} s, CPU ${cpuSeconds.toFixed(1)} s, RSS ${Math.round(result.peakRss / MIB)} MiB, p99 ${p99.toFixed(1)} ms`,
      );
      results[kind].push(result);
    }
  }
  return results;
}

const medianOf = (results: readonly UploadResult[], of: (result: UploadResult) => number): number =>
  median(results.map(of));

const wall = ({ seconds }: UploadResult): number => seconds;

export async function bigUploadRows(plan: Plan): Promise<Row[]> {
  const { gib } = plan;
  const content = await makeContent(plan.directory, "big", gib * 1024 ** 3);
  try {
    // Once more than when it was made: now from the page cache.
    const hashing: number[] = [];
    while (hashing.length < plan.rounds) hashing.push((await hash(content.path)).cpuSeconds);
    const { prov, peer } = await compare(plan, [content]);
    const cpu = medianOf(prov, ({ cpuSeconds }) => cpuSeconds) / median(hashing);
    return [
      atMost(
        `upload of ${gib} GiB with fsync, wall ÷ docker-registry`,
        medianOf(prov, wall) / medianOf(peer, wall),
        1.15,
        "×",
      ),
      atMost(`the same, CPU ÷ openssl dgst -sha256`, cpu, 3, "×"),
      atMost(`peak RSS, 1 upload of ${gib} GiB`, mebibytes(prov), 96, "MiB"),
      atMost(
        `API p99 during an upload of ${gib} GiB`,
        medianOf(prov, ({ p99 }) => p99),
        25,
        "ms",
      ),
      await resumeRow(plan, content),
    ];
  } finally {
    await rm(content.path);
  }
}

/** The hash of an upload dies with the process: the next one makes it again from what is there. */
async function resumeRow(plan: Plan, content: Content): Promise<Row> {
  const own = join(plan.directory, "server");
  await mkdir(own);
  try {
    const path = await leaveUnfinished(own, content);
    await using server = await startProv(own);
    const { p99 } = await pingDuring(server.pingUrl, () =>
      finishUpload(server, new URL(path, server.url).href, content),
    );
    plan.note(
      `resume: p99 ${p99.toFixed(1)} ms, RSS ${Math.round((await peakRss(server.pid)) / MIB)} MiB`,
    );
    return atMost(`API p99 while ${plan.gib} GiB are resumed after a restart`, p99, 25, "ms");
  } finally {
    await rm(own, { recursive: true });
  }
}

/** @returns the path of the upload. */
async function leaveUnfinished(directory: string, content: Content): Promise<string> {
  await using server = await startProv(directory);
  return new URL(await uploadUnfinished(server, content)).pathname;
}

export async function parallelUploadRows(plan: Plan): Promise<Row[]> {
  const rows: Row[] = [];
  const many = await makeContents(plan, 16, plan.gib < 4 ? 64 : 256);
  const { prov, peer } = await compare(plan, many);
  await removeAll(many);
  rows.push(
    atLeast(
      "16 parallel uploads, throughput ÷ docker-registry",
      medianOf(peer, wall) / medianOf(prov, wall),
      1,
      "×",
    ),
    atMost("peak RSS, 16 uploads", mebibytes(prov), 160, "MiB"),
  );
  const hundred = await makeContents(plan, 100, plan.gib < 4 ? 16 : 64);
  const crowd = await withServer(startProv, plan, (server) => upload(server, hundred));
  await removeAll(hundred);
  rows.push(atMost("peak RSS, 100 uploads", mebibytes([crowd]), 400, "MiB"));
  return rows;
}

async function makeContents(plan: Plan, count: number, mib: number): Promise<Content[]> {
  const contents: Content[] = [];
  for (let i = 0; i < count; i++) {
    contents.push(await makeContent(plan.directory, `content-${i}`, mib * MIB));
  }
  return contents;
}

async function removeAll(contents: readonly Content[]): Promise<void> {
  for (const { path } of contents) await rm(path);
}

/** The worst of the rounds. */
const mebibytes = (results: readonly UploadResult[]): number =>
  Math.max(...results.map((result) => result.peakRss)) / MIB;
