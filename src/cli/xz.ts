// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import type { Unxz } from "../registry/client/detect.ts";

/** Unpacking by the `xz` program, which the runtime cannot do itself; undefined where there is none. */
export function findUnxz(path: string | undefined): Unxz | undefined {
  const program = Bun.which("xz", { PATH: path ?? "" });
  return program === null ? undefined : (input) => unxz(program, input);
}

async function* unxz(
  program: string,
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, undefined> {
  const child = Bun.spawn([program, "--decompress", "--stdout", "--quiet"], {
    stdin: streamOf(input),
    stdout: "pipe",
    stderr: "pipe",
  });
  try {
    for await (const chunk of child.stdout) yield chunk;
    const complaint = (await child.stderr.text()).trim();
    if ((await child.exited) === 0) return undefined;
    throw new ProvError("Cannot unpack the file with xz", {
      code: "COMMAND_FAILED",
      cause: complaint.slice(0, 300) || `exit code ${child.exitCode}`,
    });
  } finally {
    child.kill("SIGKILL");
  }
}

function streamOf(input: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const chunks = input[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await chunks.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}
