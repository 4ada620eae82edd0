// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import fc from "fast-check";
import { receiveBody } from "../../../src/registry/uploads/receive.ts";
import { noise } from "../served.ts";

/** The most that may lie between the client and the disk: two batches of 256 KiB, and a chunk. */
const IN_MEMORY_MAX = 2 * 256 * 1024 + 64 * 1024;
const never = new AbortController().signal;

/** Pulled chunk by chunk, like a socket; nothing is read ahead. */
function bodyOf(chunks: readonly Uint8Array[]) {
  const state = { pulledBytes: 0, isCancelled: false };
  let next = 0;
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = chunks[next++]?.slice();
        if (chunk === undefined) return controller.close();
        state.pulledBytes += chunk.byteLength;
        controller.enqueue(chunk);
      },
      cancel() {
        state.isCancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, state };
}

function piecesOf(bytes: Uint8Array, size: number): Uint8Array[] {
  const count = Math.ceil(bytes.byteLength / size);
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

/** Lets all that can happen without the outside happen. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
}

test("R49: every byte is hashed and written once and in order, one write at a time", async () => {
  const sizes = fc.array(
    fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constantFrom(65_536, 300_000)),
    {
      maxLength: 600,
    },
  );
  await fc.assert(
    fc.asyncProperty(sizes, async (lengths) => {
      const chunks = lengths.map((length, i) => noise(length + 4, i).subarray(0, length));
      const hashed: Uint8Array[] = [];
      const written: Uint8Array[] = [];
      let writing = 0;
      const ended = await receiveBody(
        bodyOf(chunks).stream,
        {
          hash: (chunk) => void hashed.push(chunk.slice()),
          async write(batch) {
            writing++;
            expect(writing).toBe(1);
            // writev(2) takes no more than 1024.
            expect(batch.length).toBeLessThanOrEqual(1024);
            await new Promise((resolve) => setImmediate(resolve));
            written.push(...batch.map((chunk) => chunk.slice()));
            writing--;
          },
        },
        never,
      );
      expect(ended).toBe(true);
      const sent = Buffer.concat(chunks);
      expect(sent.equals(Buffer.concat(hashed))).toBe(true);
      expect(sent.equals(Buffer.concat(written))).toBe(true);
    }),
    { numRuns: 30 },
  );
});

test("R49: a disk that stands still stops the reading, and with it the client", async () => {
  const { stream, state } = bodyOf(piecesOf(noise(8_000_000), 65_536));
  const disk = Promise.withResolvers<void>();
  let written = 0;
  const receiving = receiveBody(
    stream,
    {
      hash() {},
      async write(batch) {
        await disk.promise;
        for (const chunk of batch) written += chunk.byteLength;
      },
    },
    never,
  );
  await settle();
  expect(state.pulledBytes).toBeGreaterThan(256 * 1024);
  expect(state.pulledBytes).toBeLessThanOrEqual(IN_MEMORY_MAX);
  await settle();
  expect(state.pulledBytes).toBeLessThanOrEqual(IN_MEMORY_MAX);
  disk.resolve();
  expect(await receiving).toBe(true);
  expect(written).toBe(8_000_000);
});

test("R49: the memory of a chunk is given back once it is written, and not before", async () => {
  const given: Uint8Array[] = [];
  await receiveBody(
    bodyOf(piecesOf(noise(2_000_000), 65_536)).stream,
    {
      hash: (chunk) => void given.push(chunk),
      async write(batch) {
        await settle();
        expect(batch.every((chunk) => chunk.byteLength > 0)).toBe(true);
      },
    },
    never,
  );
  expect(given.length).toBe(31);
  expect(given.every((chunk) => chunk.byteLength === 0)).toBe(true);
});

test("a write that fails ends the reading", async () => {
  const { stream, state } = bodyOf(piecesOf(noise(8_000_000), 65_536));
  const full = new Error("no space");
  const receiving = receiveBody(stream, { hash() {}, write: () => Promise.reject(full) }, never);
  await expect(receiving).rejects.toBe(full);
  expect(state.isCancelled).toBe(true);
  expect(state.pulledBytes).toBeLessThanOrEqual(IN_MEMORY_MAX);
});

test("a reading that is stopped writes what has come", async () => {
  const first = noise(1000);
  const stop = new AbortController();
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(first.slice()),
  });
  const written: Uint8Array[] = [];
  const receiving = receiveBody(
    stream,
    {
      hash() {},
      write: (batch) => Promise.resolve(void written.push(...batch.map((chunk) => chunk.slice()))),
    },
    stop.signal,
  );
  await settle();
  stop.abort();
  expect(await receiving).toBe(false);
  expect(Buffer.concat(written).equals(first)).toBe(true);
});
