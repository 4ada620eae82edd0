// SPDX-License-Identifier: AGPL-3.0-or-later
import { connect, createServer, type Socket } from "node:net";

export interface CuttingProxy extends AsyncDisposable {
  readonly url: string;
  /** Connections that were made, those that were cut included. */
  readonly connections: number;
}

/**
 * Stands between a client and a server, and cuts each connection after so many bytes, as a broken
 * switch does: without a farewell to the client.
 *
 * @param limits for the n-th connection, from 1: bytes from the client and to it.
 */
export async function cuttingProxy(
  port: number,
  limits: (connection: number) => { readonly up?: number; readonly down?: number },
): Promise<CuttingProxy> {
  let connections = 0;
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const { up = Infinity, down = Infinity } = limits(++connections);
    const upstream = connect(port, "127.0.0.1");
    const cut = () => {
      client.destroy();
      upstream.end();
    };
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on("error", cut);
      socket.on("close", cut);
      socket.on("close", () => open.delete(socket));
    }
    forward(client, upstream, up, cut);
    forward(upstream, client, down, cut);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((done) => server.close(done));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

function forward(from: Socket, to: Socket, limit: number, cut: () => void): void {
  let left = limit;
  from.on("data", (chunk: Buffer) => {
    const isTaken = to.write(chunk.subarray(0, left));
    left -= chunk.byteLength;
    if (left <= 0) cut();
    else if (!isTaken) from.pause();
  });
  to.on("drain", () => from.resume());
  from.on("end", () => to.end());
}
