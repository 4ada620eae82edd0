// SPDX-License-Identifier: AGPL-3.0-or-later
import { describeError, ProvError } from "../base/errors.ts";
import type { Millis } from "../base/units.ts";
import { CHILD_ENV, killGroup } from "./runner.ts";

export interface UnpackOptions {
  /** The compressed tarball. Its errors, a wrong digest among them, end the unpacking. */
  readonly stream: ReadableStream<Uint8Array>;
  /** What it is called in messages. */
  readonly artifact: string;
  /** An existing directory. */
  readonly into: string;
  readonly timeout: Millis;
  readonly signal?: AbortSignal;
  /** Called with the bytes taken from the stream so far. */
  readonly onBytes?: (done: number) => void;
}

/**
 * Everything that belongs to a file comes along: numeric owners, permissions, times, extended attributes with
 * capabilities and SELinux labels, ACLs. Sparse files stay sparse. See tar(1).
 */
const TAR = [
  "tar",
  "--extract",
  "--file=-",
  "--numeric-owner",
  "--same-owner",
  "--same-permissions",
  "--acls",
  "--xattrs",
  "--xattrs-include=*",
  "--warning=no-timestamp",
] as const;

/** Decompressors by the first bytes of what they read. */
const DECOMPRESSORS: readonly (readonly [magic: readonly number[], program: string])[] = [
  [[0x28, 0xb5, 0x2f, 0xfd], "zstd --decompress --long=31"],
  [[0x1f, 0x8b], "gzip --decompress"],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], "xz --decompress --threads=0"],
];
const MAGIC_BYTES = 6;

/**
 * Streams a tarball into a directory with bounded memory and no copy on the way.
 *
 * Returning means that the stream ended well (its digest was right) and tar wrote everything.
 *
 * @throws {ProvError} `ARTIFACT_INVALID` (not a tarball, damaged), `DISK_FULL`, `COMMAND_TIMED_OUT`,
 *   `COMMAND_FAILED`, or what the stream throws.
 */
export async function unpack(options: UnpackOptions): Promise<void> {
  const reader = options.stream.getReader();
  try {
    const head = await readHead(reader);
    await extract(options, head, reader);
  } finally {
    await reader.cancel().catch(() => {});
  }
}

interface Reader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

/** The first chunk, long enough to tell the compression by. */
async function readHead(reader: Reader): Promise<Uint8Array> {
  let head = new Uint8Array();
  while (head.length < MAGIC_BYTES) {
    const { done, value } = await reader.read();
    if (done || value === undefined) break;
    head = Buffer.concat([head, value]);
  }
  return head;
}

async function extract(options: UnpackOptions, head: Uint8Array, reader: Reader): Promise<void> {
  const program = DECOMPRESSORS.find(([magic]) => magic.every((byte, i) => head[i] === byte))?.[1];
  const tar = Bun.spawn(
    [
      ...TAR,
      `--directory=${options.into}`,
      ...(program === undefined ? [] : [`--use-compress-program=${program}`]),
    ],
    { env: CHILD_ENV, stdin: "pipe", stdout: "ignore", stderr: "pipe", detached: true },
  );
  let timedOut = false;
  const kill = () => killGroup(tar.pid);
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, options.timeout);
  options.signal?.addEventListener("abort", kill, { once: true });
  try {
    const complaint = tar.stderr.text();
    const broken = await feed(tar, head, reader, options.onBytes).then(
      () => undefined,
      (error: unknown) => error,
    );
    // A stream that broke off looks like a short archive to tar; its own error is the one that says why.
    if (broken !== undefined && !isBrokenPipe(broken)) {
      kill();
      throw broken;
    }
    const exitCode = await tar.exited;
    options.signal?.throwIfAborted();
    if (timedOut) {
      throw new ProvError(`Cannot unpack ${options.artifact}: not done in time`, {
        code: "COMMAND_TIMED_OUT",
      });
    }
    if (exitCode !== 0) throw tarError(options.artifact, await complaint);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", kill);
    kill();
  }
}

/**
 * Waits for the pipe after every chunk: what tar has not taken is not read from the network either. Ends
 * early when tar has ended, because a pipe without a reader does not always say so.
 */
async function feed(
  tar: Bun.Subprocess<"pipe", "ignore", "pipe">,
  head: Uint8Array,
  reader: Reader,
  onBytes: ((done: number) => void) | undefined,
): Promise<void> {
  let done = 0;
  let chunk: Uint8Array | undefined = head;
  const ended = tar.exited.then(() => ({ value: undefined }));
  while (chunk !== undefined && tar.exitCode === null && tar.signalCode === null) {
    tar.stdin.write(chunk);
    await Promise.race([tar.stdin.flush(), ended]);
    done += chunk.length;
    onBytes?.(done);
    chunk = (await Promise.race([reader.read(), ended])).value;
  }
  await tar.stdin.end();
}

const isBrokenPipe = (error: unknown): boolean => describeError(error).includes("EPIPE");

/** What tar and the decompressors print (GNU tar 1.35, zstd, gzip, xz), and what it means for the operator. */
function tarError(artifact: string, complaint: string): ProvError {
  const attempt = `Cannot unpack ${artifact}`;
  const cause = complaint.trim().slice(-1024) || "tar printed nothing";
  if (/No space left on device/.test(complaint)) {
    return new ProvError(`${attempt}: the file system is full`, {
      code: "DISK_FULL",
      cause,
      hint: "Give the root partition more space in partition_layout, or use a larger disk.",
    });
  }
  if (
    /not look like a tar archive|Unexpected EOF|Child returned status|corrupt|unexpected end/i.test(
      complaint,
    )
  ) {
    return new ProvError(`${attempt}: it is not a tarball, or a damaged one`, {
      code: "ARTIFACT_INVALID",
      cause,
      hint: "Push a tar file of a root file system: plain, or compressed with gzip, zstd or xz.",
    });
  }
  return new ProvError(attempt, { code: "COMMAND_FAILED", cause });
}
