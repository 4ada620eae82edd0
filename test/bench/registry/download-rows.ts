// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * Downloads beside nginx: both send the same files from the same page cache, prov's store. One client is
 * curl, many are wrk with one thread: one thread sends, one receives, on two cores. Over the loopback the
 * receiver is the slower one of the two, for both servers alike.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { median, peakRss, type Row, serveBinary } from "../../helpers/bench.ts";
import { atLeast, atMost, type Plan } from "./plan.ts";
import { run } from "./processes.ts";
import { makeCertificate, startNginx, startProv, untilAtRest } from "./servers.ts";
import { type Content, makeContent, upload } from "./upload.ts";

const WRK_SECONDS = 8;
const MIB = 1024 ** 2;

interface Urls {
  readonly prov: string;
  readonly peer: string;
}

/** Bytes per second. */
type Load = (url: string) => Promise<number>;

const curlLoad =
  (size: number): Load =>
  async (url) => {
    const { seconds } = await run([
      ...["curl", "--silent", "--show-error", "--fail", "--insecure", "--output", "/dev/null", url],
    ]);
    return size / seconds;
  };

const wrkLoad =
  (clients: number): Load =>
  async (url) => {
    const { out } = await run([
      ...["wrk", "--threads", "1", "--connections", `${clients}`],
      ...["--duration", `${WRK_SECONDS}s`, "--timeout", "60s", url],
    ]);
    const [, number = "", unit = ""] = /Transfer\/sec:\s+([\d.]+)([KMG]?)B/.exec(out) ?? [];
    return Number(number) * 1024 ** " KMG".indexOf(unit);
  };

/** prov's throughput ÷ its peer's. */
async function compare(plan: Plan, what: string, urls: Urls, load: Load): Promise<number> {
  const speeds = { prov: [] as number[], peer: [] as number[] };
  for (let round = 0; round < plan.rounds; round++) {
    const kinds = ["prov", "peer"] as const;
    for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
      const speed = await load(urls[kind]);
      plan.note(`${kind}: download, ${what}: ${Math.round(speed / MIB)} MiB/s`);
      speeds[kind].push(speed);
    }
  }
  return median(speeds.prov) / median(speeds.peer);
}

export async function downloadRows(plan: Plan): Promise<Row[]> {
  const own = join(plan.directory, "server");
  await mkdir(own);
  try {
    const contents = await pushContents(plan, own);
    const certificate = await makeCertificate(own);
    await using nginx = await startNginx(own, join(own, "prov/registry/store"), certificate);
    const peerUrl = (base: string, { digest }: Content) => `${base}/${storePathOf(digest)}`;
    const plain = await plainRows(plan, join(own, "prov"), contents, (content) =>
      peerUrl(nginx.url, content),
    );
    const { cert, key } = certificate;
    const tls = ["--https-addr=127.0.0.1:0", `--tls-cert-file=${cert}`, `--tls-key-file=${key}`];
    await using prov = await serveBinary(join(own, "prov"), tls);
    const urls = {
      prov: blobUrl(prov.tlsUrl ?? "", contents.middle),
      peer: peerUrl(nginx.tlsUrl, contents.middle),
    };
    const secret = await compare(plan, "16 clients, TLS", urls, wrkLoad(16));
    return [...plain, atLeast("TLS download, 16 clients ÷ nginx TLS", secret, 1, "×")];
  } finally {
    await rm(own, { recursive: true });
  }
}

async function plainRows(
  plan: Plan,
  storage: string,
  { big, middle, small }: Awaited<ReturnType<typeof pushContents>>,
  peerUrl: (content: Content) => string,
): Promise<Row[]> {
  // Started again, so that nothing of the push is counted as the download's.
  await using prov = await serveBinary(storage);
  const urlsOf = (content: Content): Urls => ({
    prov: blobUrl(prov.url, content),
    peer: peerUrl(content),
  });
  await untilAtRest(prov.pid);
  const one = await compare(plan, "1 client", urlsOf(big), curlLoad(big.size));
  const oneRss = await peakRss(prov.pid);
  const some = await compare(plan, "16 clients", urlsOf(middle), wrkLoad(16));
  await untilAtRest(prov.pid);
  const many = await compare(plan, "200 clients", urlsOf(small), wrkLoad(200));
  const manyRss = await peakRss(prov.pid);
  return [
    atLeast("download, 1 client ÷ nginx sendfile", one, 0.95, "×"),
    atLeast("download, 16 clients ÷ nginx sendfile", some, 0.95, "×"),
    atLeast("download, 200 clients ÷ nginx sendfile", many, 0.95, "×"),
    atMost(`peak RSS, download of ${plan.gib} GiB`, oneRss / MIB, 64, "MiB"),
    atMost("peak RSS, 200 clients", manyRss / MIB, 128, "MiB"),
  ];
}

const blobUrl = (base: string, { digest }: Content): string => `${base}/v2/bench/blobs/${digest}`;

async function pushContents(plan: Plan, own: string) {
  await using server = await startProv(own);
  const push = async (name: string, size: number): Promise<Content> => {
    const content = await makeContent(plan.directory, name, size);
    await upload(server, [content]);
    await rm(content.path);
    return content;
  };
  return {
    big: await push("big", plan.gib * 1024 ** 3),
    middle: await push("middle", 256 * MIB),
    small: await push("small", 16 * MIB),
  };
}

/** Where prov keeps it, below its store. */
function storePathOf(digest: string): string {
  const [algorithm = "", hex = ""] = digest.split(":");
  return `${algorithm}/${hex.slice(0, 2)}/${hex}`;
}
