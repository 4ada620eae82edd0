// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import { openPipe } from "./pipe.ts";
import { CHILD_ENV, killGroup } from "./runner.ts";

/**
 * Everything that belongs to a file comes along: numeric owners, permissions, times, extended attributes with
 * capabilities, SELinux labels, ACLs. Sparse files stay sparse. See tar(1).
 */
const TAR = [
  "tar",
  "--extract",
  "--file=-",
  "--numeric-owner",
  "--same-owner",
  "--same-permissions",
  "--acls",
  "--selinux",
  "--xattrs",
  "--xattrs-include=*",
  "--warning=no-timestamp",
] as const;

/** Decompressors by the first bytes of what they read. */
const DECOMPRESSORS: readonly (readonly [magic: readonly number[], argv: readonly string[]])[] = [
  [
    [0x28, 0xb5, 0x2f, 0xfd],
    ["zstd", "--decompress", "--stdout", "--long=31"],
  ],
  [
    [0x1f, 0x8b],
    ["gzip", "--decompress", "--stdout"],
  ],
  [
    [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
    ["xz", "--decompress", "--stdout", "--threads=0"],
  ],
];
/** As many bytes as the longest of them. */
export const MAGIC_BYTES = 6;

interface Child {
  readonly pid: number;
  readonly exited: Promise<number>;
  readonly complaint: Promise<string>;
}

/** A running tar, behind a decompressor if the archive needs one. */
export interface Extraction {
  readonly stdin: Bun.FileSink;
  /** Whether whoever reads `stdin` is still there. */
  readonly isReading: () => boolean;
  /** Resolves when both have ended. */
  readonly ended: Promise<void>;
  /** Resolves to what went wrong, once both have ended; undefined when nothing did. */
  readonly failure: (artifact: string) => Promise<ProvError | undefined>;
  readonly kill: () => void;
}

/** Starts to unpack into a directory. `head`: the archive's first bytes, at least {@link MAGIC_BYTES} of them. */
export function startExtraction(head: Uint8Array, into: string): Extraction {
  const argv = DECOMPRESSORS.find(([magic]) => magic.every((byte, i) => head[i] === byte))?.[1];
  if (argv === undefined) {
    const tar = spawn([...TAR, `--directory=${into}`], "pipe", "ignore");
    return extraction(tar.stdin as Bun.FileSink, childOf(tar), undefined);
  }
  const pipe = openPipe();
  try {
    const decompressor = spawn(argv, "pipe", pipe.writeEnd);
    const tar = spawn([...TAR, `--directory=${into}`], pipe.readEnd, "ignore");
    return extraction(decompressor.stdin as Bun.FileSink, childOf(tar), childOf(decompressor));
  } finally {
    pipe.close();
  }
}

function spawn(argv: readonly string[], stdin: "pipe" | number, stdout: "ignore" | number) {
  return Bun.spawn([...argv], { env: CHILD_ENV, stdin, stdout, stderr: "pipe", detached: true });
}

function childOf(process: ReturnType<typeof spawn>): Child {
  // tar tries every other file of the archive on a full file system before it gives up.
  const onText = (text: string) => {
    if (FULL.test(text)) killGroup(process.pid);
  };
  const complaint = firstOf(process.stderr, onText);
  return { pid: process.pid, exited: process.exited, complaint };
}

const FULL = /No space left on device/;
/** The first complaint names the cause; thousands may follow from it. */
const COMPLAINT_CHARS = 1024;

/** The start of a stream, which is read to its end. */
async function firstOf(
  stream: ReadableStream<Uint8Array>,
  onText: (text: string) => void,
): Promise<string> {
  const decoder = new TextDecoder();
  let first = "";
  for await (const chunk of stream) {
    if (first.length >= COMPLAINT_CHARS) continue;
    first += decoder.decode(chunk, { stream: true });
    onText(first);
  }
  return first.slice(0, COMPLAINT_CHARS);
}

function extraction(stdin: Bun.FileSink, tar: Child, decompressor: Child | undefined): Extraction {
  const children = decompressor === undefined ? [tar] : [decompressor, tar];
  let isReading = true;
  const ended = Promise.all(children.map((child) => child.exited)).then(() => {});
  children[0]?.exited.then(
    () => {
      isReading = false;
    },
    () => {},
  );
  return {
    stdin,
    isReading: () => isReading,
    ended,
    failure: (artifact) => failureOf(artifact, tar, decompressor),
    kill: () => {
      for (const child of children) killGroup(child.pid);
    },
  };
}

async function failureOf(
  artifact: string,
  tar: Child,
  decompressor: Child | undefined,
): Promise<ProvError | undefined> {
  const [exitCode, complaint] = await Promise.all([tar.exited, tar.complaint]);
  // What a decompressor still wanted to write after the end of the archive is padding: nobody misses it.
  if (exitCode === 0) return undefined;
  const first = await decompressor?.complaint;
  return tarError(artifact, complaint, first ?? "");
}

/** What tar and the decompressors print (GNU tar 1.34, zstd, gzip, xz), and what it means for the operator. */
function tarError(artifact: string, tar: string, decompressor: string): ProvError {
  const attempt = `Cannot unpack ${artifact}`;
  // A decompressor whose reader is gone complains as well, but is not the cause.
  const isCause = decompressor.trim() !== "" && !/broken pipe/i.test(decompressor);
  const cause = (isCause ? decompressor : tar).trim() || "tar printed nothing";
  if (FULL.test(tar)) {
    return new ProvError(`${attempt}: the file system is full`, {
      code: "DISK_FULL",
      cause,
      hint: "Give the root partition more space in partition_layout, or use a larger disk.",
    });
  }
  if (isCause || /not look like a tar archive|Unexpected EOF|Skipping to next header/i.test(tar)) {
    return new ProvError(`${attempt}: it is not a tarball, or a damaged one`, {
      code: "ARTIFACT_INVALID",
      cause,
      hint: "Push a tar file of a root file system: plain, or compressed with gzip, zstd or xz.",
    });
  }
  return new ProvError(attempt, { code: "COMMAND_FAILED", cause });
}
