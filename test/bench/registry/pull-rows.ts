// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * prov's own pull client, as an agent uses it: a process of its own that pulls, verifies and throws away.
 *
 *     bun pull-rows.ts URL DIGEST SIZE     pulls, then prints its own peak RSS in bytes
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { silentLog } from "../../../src/base/deps.ts";
import { openBlob } from "../../../src/registry/client/pull.ts";
import { parseDigest } from "../../../src/registry/digest.ts";
import { median, peakRss, type Row } from "../../helpers/bench.ts";
import { atMost, type Plan } from "./plan.ts";
import { run } from "./processes.ts";
import { startProv } from "./servers.ts";
import { makeContent, upload } from "./upload.ts";

export async function pullRows(plan: Plan): Promise<Row[]> {
  const own = join(plan.directory, "server");
  await mkdir(own);
  try {
    await using server = await startProv(own);
    const content = await makeContent(plan.directory, "big", plan.gib * 1024 ** 3);
    await upload(server, [content]);
    await rm(content.path);
    const url = `${server.url}/v2/bench/blobs/${content.digest}`;
    const plainTools = `curl --silent --show-error --fail "${url}" | openssl dgst -sha256`;
    const tools = ["bash", "-o", "pipefail", "-c", plainTools];
    const puller = [process.execPath, import.meta.path, server.url, content.digest];
    const times = { prov: [] as number[], peer: [] as number[] };
    let rss = 0;
    for (let round = 0; round < plan.rounds; round++) {
      const kinds = ["prov", "peer"] as const;
      for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
        const argv = kind === "prov" ? [...puller, `${content.size}`] : tools;
        const { out, seconds } = await run(argv);
        if (kind === "prov") rss = Math.max(rss, Number(out));
        plan.note(`${kind}: pull, ${seconds.toFixed(1)} s`);
        times[kind].push(seconds);
      }
    }
    const ratio = median(times.prov) / median(times.peer);
    return [
      atMost(`pull of ${plan.gib} GiB, verified, wall ÷ curl to openssl dgst`, ratio, 1.5, "×"),
      atMost(`peak RSS of the pull client, ${plan.gib} GiB`, rss / 1024 ** 2, 128, "MiB"),
    ];
  } finally {
    await rm(own, { recursive: true });
  }
}

async function pull(registry: string, digestText: string, size: number): Promise<void> {
  const digest = parseDigest(digestText);
  if (digest === undefined) throw new TypeError(`not a digest: ${digestText}`);
  const source = { registry, repository: "bench", authorization: null, ca: null };
  const deps = { fetch, sleep: (ms: number) => Bun.sleep(ms), now: Date.now, log: silentLog };
  let received = 0;
  for await (const chunk of openBlob(source, { digest, size }, deps)) received += chunk.byteLength;
  if (received !== size) throw new RangeError(`${received} of ${size} bytes came`);
  console.log(await peakRss(process.pid));
}

if (import.meta.main) {
  const [url = "", digest = "", size] = process.argv.slice(2);
  await pull(url, digest, Number(size));
}
