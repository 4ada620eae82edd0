// SPDX-License-Identifier: AGPL-3.0-or-later

/** A connection that says exactly what it is told to say. */
export interface Raw {
  /** Everything that has come so far. */
  received(): string;
  isClosed(): boolean;
  /** Resolves when all of it is on its way. */
  send(...parts: readonly (string | Uint8Array)[]): Promise<void>;
  /** Closes as a client does that has nothing more to say. */
  end(): void;
  /** Breaks off (RST). */
  terminate(): void;
}

export async function connectRaw(port: number): Promise<Raw> {
  let received = "";
  let isClosed = false;
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, data) => {
        received += data.toString("latin1");
      },
      close: () => {
        isClosed = true;
      },
      error: () => {
        isClosed = true;
      },
    },
  });
  async function write(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.byteLength && !isClosed; ) {
      const count = socket.write(bytes.subarray(sent));
      if (count < 0) return;
      sent += count;
      socket.flush();
      // The other side reads before there is room again.
      if (count === 0) await Bun.sleep(1);
    }
  }
  return {
    received: () => received,
    isClosed: () => isClosed,
    async send(...parts) {
      for (const part of parts) {
        await write(typeof part === "string" ? Buffer.from(part, "latin1") : part);
      }
    },
    end: () => void socket.end(),
    terminate: () => socket.terminate(),
  };
}

/** Waits for a condition that will come true; the test's own timeout is the limit. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await Bun.sleep(2);
}
