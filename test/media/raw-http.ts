// SPDX-License-Identifier: AGPL-3.0-or-later
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";

/** What came over the wire, before any client has smoothed it. */
export interface RawAnswer {
  /** `HTTP/1.1 206 Partial Content` */
  readonly statusLine: string;
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

export interface RawRequest {
  readonly port: number;
  readonly tls?: boolean;
  readonly method?: string;
  readonly version?: "1.0" | "1.1";
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends one request on a connection of its own and reads until the server closes it. */
export async function rawRequest(request: RawRequest): Promise<RawAnswer> {
  const { port, method = "GET", version = "1.1", path = "/", headers = {} } = request;
  const lines = Object.entries({ host: "media.test", connection: "close", ...headers });
  const text = `${method} ${path} HTTP/${version}\r\n${lines.map(([k, v]) => `${k}: ${v}\r\n`).join("")}\r\n`;
  const socket = request.tls
    ? connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false })
    : connect(port, "127.0.0.1");
  socket.write(text);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return parse(Buffer.concat(chunks));
}

function parse(bytes: Buffer): RawAnswer {
  const end = bytes.indexOf("\r\n\r\n");
  const [statusLine = "", ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(":");
    headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const status = Number(statusLine.split(" ")[1]);
  return { statusLine, status, headers, body: bytes.subarray(end + 4) };
}
