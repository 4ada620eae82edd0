// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The line between a mirror and its upstream: a proxy of bytes that notes what is asked and can cut,
 * hold, garble or answer by itself.
 */
import { connect, createServer, type Socket } from "node:net";

interface Asked {
  readonly method: string;
  /** Below `/v2/`. */
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** What happens to an answer; positions count from its first byte, head included. */
interface Fault {
  /** Sent in place of upstream's answer. */
  readonly answer?: { status: number; headers?: Record<string, string>; body?: string };
  readonly cutAfter?: number;
  /** Nothing comes after this position until the promise resolves. */
  readonly hold?: { after: number; until: Promise<unknown> };
  readonly flipAt?: number;
}

export interface Link extends AsyncDisposable {
  readonly url: string;
  readonly asked: Asked[];
  /** Of bytes that went to the mirror. */
  readonly passed: () => number;
  /** Asked for each request; undefined passes it on. */
  fault: (asked: Asked) => Fault | undefined;
  /** Refuses connections until it is called with `true`. */
  up(isUp: boolean): void;
  /** Requests of a method whose path fits. */
  count(method: string, path: RegExp): number;
}

export async function openLink(upstreamPort: number): Promise<Link> {
  const asked: Asked[] = [];
  const sockets = new Set<Socket>();
  let passed = 0;
  let isUp = true;
  const link = { fault: (_: Asked): Fault | undefined => undefined };

  function handle(socket: Socket, head: string): void {
    const [, method = "", path = ""] = /^(\w+) \/v2\/(\S*)/.exec(head) ?? [];
    const header = (name: string) =>
      new RegExp(`^${name}: (.*)\\r$`, "im").exec(head)?.[1] ?? undefined;
    const request = {
      method,
      path,
      range: header("range"),
      authorization: header("authorization"),
    };
    asked.push(request);
    const fault = link.fault(request) ?? {};
    if (fault.answer !== undefined) {
      const { status, headers = {}, body = "" } = fault.answer;
      const lines = Object.entries({ "content-length": `${body.length}`, ...headers });
      const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
      socket.end(
        `HTTP/1.1 ${status} X\r\nconnection: close\r\n${text}\r\n${method === "HEAD" ? "" : body}`,
      );
      return;
    }
    const upstream = connect(upstreamPort, "127.0.0.1");
    sockets.add(upstream);
    upstream.on("error", () => socket.destroy());
    upstream.on("close", () => sockets.delete(upstream));
    socket.on("close", () => upstream.destroy());
    upstream.write(
      head.replace(/^connection: .*\r\n/im, "").replace("\r\n", "\r\nConnection: close\r\n"),
    );
    carry(upstream, socket, fault, (bytes) => {
      passed += bytes;
    }).catch(() => socket.destroy());
  }

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    if (!isUp) {
      socket.destroy();
      return;
    }
    let head = "";
    socket.on("data", (data) => {
      // One request per connection: a client that sends another will find it closed.
      if (head.endsWith("\r\n\r\n")) return;
      head += data.toString("latin1");
      if (head.endsWith("\r\n\r\n")) handle(socket, head);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  return Object.assign(link, {
    url: `http://127.0.0.1:${port}`,
    asked,
    passed: () => passed,
    up(now: boolean) {
      isUp = now;
      if (!now) for (const socket of sockets) socket.destroy();
    },
    count: (method: string, path: RegExp) =>
      asked.filter((each) => each.method === method && path.test(each.path)).length,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

async function carry(
  from: Socket,
  to: Socket,
  { cutAfter, hold, flipAt }: Fault,
  note: (bytes: number) => void,
): Promise<void> {
  let position = 0;
  for await (const data of from) {
    const chunk = Buffer.from(data);
    const end = position + chunk.byteLength;
    if (flipAt !== undefined && flipAt >= position && flipAt < end) {
      chunk.writeUInt8(chunk.readUInt8(flipAt - position) ^ 1, flipAt - position);
    }
    if (cutAfter !== undefined && end > cutAfter) {
      // Not torn down: what belongs before the cut would be lost with it.
      to.end(chunk.subarray(0, cutAfter - position));
      return;
    }
    if (hold !== undefined && end > hold.after) await hold.until;
    note(chunk.byteLength);
    position = end;
    if (!to.write(chunk)) await new Promise((resolve) => to.once("drain", resolve));
  }
  to.end();
}
