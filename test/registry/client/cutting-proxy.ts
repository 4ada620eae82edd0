// SPDX-License-Identifier: AGPL-3.0-or-later

interface Wire {
  upstream: Bun.Socket | undefined;
  /** Bytes of each direction that are still let through. */
  left: { up: number; down: number };
  early: Buffer[];
}

export interface CuttingProxy extends Disposable {
  readonly url: string;
  /** Connections that were made, those that were cut included. */
  readonly connections: number;
}

/**
 * Stands between a client and a server, and cuts each connection after so many bytes, as a broken
 * switch does: without a farewell.
 *
 * @param limits for the n-th connection, from 1; undefined lets everything through.
 */
export function cuttingProxy(
  port: number,
  limits: (connection: number) => { up?: number; down?: number } | undefined,
): CuttingProxy {
  let connections = 0;
  const listener = Bun.listen<Wire>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      async open(client) {
        connections++;
        const { up = Infinity, down = Infinity } = limits(connections) ?? {};
        client.data = { upstream: undefined, left: { up, down }, early: [] };
        const upstream = await Bun.connect({
          hostname: "127.0.0.1",
          port,
          socket: {
            data(_, chunk) {
              client.write(chunk.subarray(0, client.data.left.down));
              client.data.left.down -= chunk.byteLength;
              if (client.data.left.down <= 0) client.terminate();
            },
            close: () => void client.end(),
          },
        });
        client.data.upstream = upstream;
        for (const chunk of client.data.early.splice(0)) forward(client, chunk);
      },
      data(client, chunk) {
        if (client.data.upstream === undefined) client.data.early.push(Buffer.from(chunk));
        else forward(client, chunk);
      },
      close: (client) => void client.data.upstream?.terminate(),
    },
  });
  return {
    url: `http://127.0.0.1:${listener.port}`,
    get connections() {
      return connections;
    },
    [Symbol.dispose]: () => listener.stop(true),
  };
}

function forward(client: Bun.Socket<Wire>, chunk: Buffer): void {
  const { upstream, left } = client.data;
  upstream?.write(chunk.subarray(0, left.up));
  left.up -= chunk.byteLength;
  if (left.up > 0) return;
  upstream?.flush();
  upstream?.end();
  client.terminate();
}
